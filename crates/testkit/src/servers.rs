//! Object stores that run beside a test, and proxies that slow them down, cut them off, or answer
//! in their place; what people sign in with; and sites with TLS that a browser visits.
//!
//! [`VersityServer`] is [versitygw](https://github.com/versity/versitygw), [`S3Server`] is
//! [moto](https://docs.getmoto.org), and [`AzureServer`] is
//! [Azurite](https://github.com/Azure/Azurite): programs of others. [`GcsServer`] is a fake of our
//! own and no evidence about the real service. Each listens on a free port of the loopback
//! interface, keeps everything in memory or in a temporary folder and is killed when dropped. A
//! store that hangs is a frozen process ([`Process::freeze`]); one that is out of reach is behind
//! a [`TcpProxy`], one that has a bad day, or ignores conditions, behind an [`HttpProxy`].
//! [`IdentityProvider`] is [oidc-provider](https://github.com/panva/node-oidc-provider), which is
//! certified, [`Sites`] has nginx in front of everything that a browser is to see, and [`Haproxy`]
//! balances over replicas.
//!
//! `make test` installs them and says where they are: `RDL_TEST_VERSITYGW` is that program,
//! `RDL_TEST_PYTHON` a Python with the packages of `tests/python/requirements.txt`,
//! `RDL_TEST_NODE_MODULES` the folder that `npm ci` fills in `tests/node`.

mod azure;
mod gcs;
mod haproxy;
mod http_proxy;
mod identity_provider;
mod s3;
mod sites;
mod tcp_proxy;
mod versity;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::net::TcpSocket;

pub use azure::AzureServer;
pub use gcs::GcsServer;
pub use haproxy::Haproxy;
pub use http_proxy::HttpProxy;
pub use identity_provider::{IdentityProvider, ProviderOptions, TokenFormat};
pub use s3::S3Server;
pub use sites::Sites;
pub use tcp_proxy::TcpProxy;
pub use versity::VersityServer;

#[cfg(doc)]
use crate::Process;

/// The path that `make test` gives in this variable.
fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    let value = std::env::var_os(variable);
    value.map(PathBuf::from).with_context(|| format!("{variable} is not set: run `make test`"))
}

/// A socket that keeps a port without listening at it.
fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // So that a second socket may listen at the port that the first one keeps.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
