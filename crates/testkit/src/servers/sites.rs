mod certificates;
mod tunnels;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use tokio::net::{TcpSocket, TcpStream};

use super::bind;
use crate::nginx::RunningNginx;
use certificates::Certificates;
use tunnels::Tunnels;

/// Sites with TLS under names of their own, as the world has them: Debian's nginx at one free port,
/// with a certificate that an authority of this test signed.
///
/// A browser finds the names when it is told that all of them mean 127.0.0.1, and trusts the
/// certificate by [`spki_hash`](Self::spki_hash). A program that looks names up at the system finds
/// and trusts them with [`environment`](Self::environment).
///
/// To tell sites apart, browsers take the last two labels of a name under `.test`:
/// `loader.robots.test` and `app.robots.test` are two origins of one site.
pub struct Sites {
    address: SocketAddr,
    certificates: Certificates,
    tunnels: Tunnels,
    routes: BTreeMap<String, Route>,
    nginx: Option<RunningNginx>,
    /// Keeps the port while nginx starts anew.
    _bound: TcpSocket,
}

enum Route {
    /// Nobody is at home: 503.
    Empty,
    /// `http://<address>:<port>`.
    Server(String),
    Folder(PathBuf),
}

impl Sites {
    /// Opens sites with these names, at which nothing is served as yet.
    ///
    /// # Errors
    ///
    /// If nginx is not installed or does not start.
    pub async fn open(names: &[&str]) -> anyhow::Result<Sites> {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut sites = Sites {
            address: bound.local_addr()?,
            certificates: Certificates::issue(names)?,
            tunnels: Tunnels::open().await?,
            routes: names.iter().map(|name| ((*name).to_owned(), Route::Empty)).collect(),
            nginx: None,
            _bound: bound,
        };
        sites.start_nginx().await?;
        Ok(sites)
    }

    /// From now on a site is what answers at `http://<address>:<port>`. Connections to all sites
    /// end.
    ///
    /// # Errors
    ///
    /// If there is no site of this name, or nginx does not start anew.
    pub async fn lead_to(&mut self, name: &str, url: &str) -> anyhow::Result<()> {
        self.set(name, Route::Server(url.to_owned())).await
    }

    /// From now on a site is the files of a folder. Connections to all sites end.
    ///
    /// # Errors
    ///
    /// If there is no site of this name, or nginx does not start anew.
    pub async fn serve(&mut self, name: &str, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        self.set(name, Route::Folder(folder)).await
    }

    /// `https://<name>:<port>`, without a slash.
    pub fn origin(&self, name: &str) -> String {
        format!("https://{name}:{}", self.address.port())
    }

    /// The authority's certificate in PEM.
    pub fn authority_file(&self) -> PathBuf {
        self.certificates.authority_file()
    }

    /// The SHA-256 of the certificate's public key in base64, for Chromium's
    /// `--ignore-certificate-errors-spki-list`.
    pub fn spki_hash(&self) -> &str {
        &self.certificates.spki_hash
    }

    /// What a program needs in its environment to reach the sites: the file of the authority, and a
    /// proxy for `https://` that knows the names.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let authority = self.authority_file().display().to_string();
        [("SSL_CERT_FILE", authority), ("HTTPS_PROXY", self.tunnels.url())]
    }

    async fn set(&mut self, name: &str, route: Route) -> anyhow::Result<()> {
        ensure!(self.routes.contains_key(name), "there is no site {name}");
        self.routes.insert(name.to_owned(), route);
        self.start_nginx().await
    }

    async fn start_nginx(&mut self) -> anyhow::Result<()> {
        self.nginx = None;
        let address = self.address;
        // It listens when it has read its configuration.
        let is_ready = async || TcpStream::connect(address).await.is_ok();
        let started = RunningNginx::start(&self.servers(), is_ready).await?;
        self.nginx = Some(started.map_err(|log| anyhow!("nginx does not start: {log}"))?);
        Ok(())
    }

    fn servers(&self) -> String {
        let (chain, key) = (self.certificates.chain_file(), self.certificates.key_file());
        // Sessions may lie in cookies of 20 KiB, which come and go in headers.
        let mut servers = format!(
            r#"
    ssl_certificate "{}";
    ssl_certificate_key "{}";
    types {{ text/html html; text/javascript js mjs; }}
    client_max_body_size 0;
    large_client_header_buffers 8 32k;
    proxy_buffer_size 64k;
    proxy_buffers 4 64k;
    proxy_busy_buffers_size 128k;
    proxy_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
"#,
            chain.display(),
            key.display(),
        );
        for (name, route) in &self.routes {
            let serving = match route {
                Route::Empty => "return 503;".to_owned(),
                Route::Server(url) => format!("proxy_pass {url};"),
                Route::Folder(folder) => format!(r#"root "{}";"#, folder.display()),
            };
            let listen = format!("listen {} ssl; server_name {name};", self.address);
            servers.push_str(&format!("    server {{ {listen} location / {{ {serving} }} }}\n"));
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeBackend, get};

    /// Knows of the sites what they tell a program.
    fn visitor(sites: &Sites) -> reqwest::Client {
        // Only the first call of a process says which; the others are told that it is said.
        let _said = rustls::crypto::ring::default_provider().install_default();
        let authority = std::fs::read(sites.authority_file()).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        let [_, (_, proxy)] = sites.environment();
        reqwest::Client::builder()
            .tls_certs_only([authority])
            .proxy(reqwest::Proxy::https(proxy).unwrap())
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn a_site_is_a_folder_or_a_server_behind_tls() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "a page").unwrap();
        let names = ["loader.robots.test", "viewer.cameras.test", "empty.robots.test"];
        let mut sites = Sites::open(&names).await.unwrap();
        let backend = FakeBackend::start().await;
        backend.static_file("/a", "0123456789");
        sites.serve(names[1], folder.path()).await.unwrap();
        sites.lead_to(names[0], &backend.url()).await.unwrap();
        let client = visitor(&sites);

        let page = client.get(format!("{}/", sites.origin(names[1]))).send().await.unwrap();
        assert_eq!(page.headers()["content-type"], "text/html");
        assert_eq!(page.text().await.unwrap(), "a page");

        let large = "x".repeat(20 << 10);
        let url = format!("{}/a", sites.origin(names[0]));
        let answer = client.get(url).header("cookie", &large).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "0123456789");
        let seen = &backend.requests()[0];
        let host = sites.origin(names[0]).replace("https://", "");
        assert_eq!(seen.header("host"), Some(host.as_str()));
        assert_eq!(seen.header("cookie"), Some(large.as_str()));
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));

        let nobody = client.get(sites.origin(names[2])).send().await.unwrap();
        assert_eq!(nobody.status(), 503);
        assert!(sites.lead_to("other.robots.test", &backend.url()).await.is_err());
    }

    #[tokio::test]
    async fn only_the_authority_makes_a_site_trusted() {
        let sites = Sites::open(&["loader.robots.test"]).await.unwrap();
        let other = Sites::open(&["loader.robots.test"]).await.unwrap();
        let url = sites.origin("loader.robots.test");
        assert_eq!(visitor(&sites).get(&url).send().await.unwrap().status(), 503);
        let error = visitor(&other).get(&url).send().await.unwrap_err();
        assert!(format!("{error:?}").contains("InvalidCertificate"), "{error:?}");
        let plain = get(&url.replace("https://loader.robots.test", "http://127.0.0.1"), &[]).await;
        assert_eq!(plain.unwrap().status, 400, "nginx answers plain requests so");
    }
}
