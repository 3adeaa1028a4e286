use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::needed;
use crate::http::send;
use crate::process::Process;

/// Azurite says that it "listens", and [`Process`] waits for "listening".
const PROGRAM: &str = "
const log = console.log;
console.log = (line) => log(String(line).replace('listens on', 'listening on'));
require(process.env.AZURITE);
";
const ARGUMENTS: [&str; 9] = [
    "-e",
    PROGRAM,
    "azurite-blob",
    "--blobHost=127.0.0.1",
    "--blobPort=0",
    "--inMemoryPersistence",
    // It sends what it was asked to its makers otherwise.
    "--disableTelemetry",
    "--silent",
    "--skipApiVersionCheck",
];
const API_VERSION: &str = "2021-08-06";

/// Azurite's blob store, which checks shared keys.
pub struct AzureServer {
    /// The running Azurite: to freeze, to kill, or to see what it printed.
    pub process: Process,
}

impl AzureServer {
    /// The account of every emulator.
    pub const ACCOUNT: &str = "devstoreaccount1";
    /// Its key, which is no secret: Azure's documentation has it.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts it, without containers.
    ///
    /// # Errors
    ///
    /// If `RDL_TEST_NODE_MODULES` is not set, or Node.js or Azurite is missing.
    pub async fn start() -> anyhow::Result<AzureServer> {
        let azurite = needed("RDL_TEST_NODE_MODULES")?.join(".bin/azurite-blob");
        ensure!(azurite.exists(), "{} is missing: `make test` installs it", azurite.display());
        let azurite = azurite.canonicalize()?;
        let azurite = azurite.to_str().context("a path in UTF-8")?;
        let process = Process::start("node".as_ref(), &ARGUMENTS, &[("AZURITE", azurite)]).await;
        let process = process.context(
            "Azurite does not start: `make test` installs Node.js (Debian: nodejs npm) and tests/node",
        )?;
        Ok(AzureServer { process })
    }

    /// The endpoint of [`ACCOUNT`](Self::ACCOUNT), without a slash at its end.
    pub fn service_url(&self) -> String {
        format!("{}/{}", self.process.url(), Self::ACCOUNT)
    }

    /// Makes an empty container.
    ///
    /// # Errors
    ///
    /// If Azurite refuses.
    pub async fn create_container(&self, name: &str) -> anyhow::Result<()> {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let authorization = authorization(name, &date)?;
        let headers = [
            ("x-ms-date", date.as_str()),
            ("x-ms-version", API_VERSION),
            ("authorization", authorization.as_str()),
        ];
        let url = format!("{}/{name}?restype=container", self.service_url());
        let answer = send("PUT", &url, &headers, b"").await?;
        ensure!(answer.status == 201, "container {name}: {} {}", answer.status, answer.text());
        Ok(())
    }
}

/// [Shared Key](https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key)
/// for the request that makes a container.
fn authorization(container: &str, date: &str) -> anyhow::Result<String> {
    let account = AzureServer::ACCOUNT;
    // The method and eleven standard headers, all of which are empty.
    let signed = format!(
        "PUT{}\nx-ms-date:{date}\nx-ms-version:{API_VERSION}\n\
         /{account}/{account}/{container}\nrestype:container",
        "\n".repeat(11)
    );
    let key = BASE64_STANDARD.decode(AzureServer::KEY)?;
    let signature = BASE64_STANDARD.encode(hmac_sha256(&key, signed.as_bytes()));
    Ok(format!("SharedKey {account}:{signature}"))
}

/// RFC 2104, for keys of at most 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new_with_prefix(padded(0x36)).chain_update(message).finalize();
    Sha256::new_with_prefix(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_container_is_made_with_the_key_alone() {
        let server = AzureServer::start().await.unwrap();
        server.create_container("cache").await.unwrap();
        let again = server.create_container("cache").await.unwrap_err().to_string();
        assert!(again.contains("ContainerAlreadyExists"), "{again}");
        let blob = format!("{}/cache/a", server.service_url());
        let headers = [("x-ms-blob-type", "BlockBlob"), ("x-ms-version", API_VERSION)];
        let unsigned = send("PUT", &blob, &headers, b"x").await.unwrap();
        assert_eq!(unsigned.status, 403, "{}", unsigned.text());
    }

    #[test]
    fn the_hmac_is_that_of_rfc_4231() {
        let digest = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(digest[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }
}
