use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use sha2::{Digest as _, Sha256};

/// An authority, and one certificate of it for all names, in files that go with this value.
pub(super) struct Certificates {
    folder: tempfile::TempDir,
    pub(super) spki_hash: String,
}

impl Certificates {
    pub(super) fn issue(names: &[&str]) -> anyhow::Result<Certificates> {
        let mut authority = CertificateParams::new([])?;
        authority.distinguished_name.push(DnType::CommonName, "An authority for one test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let key = KeyPair::generate()?;
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let spki = Sha256::digest(key.subject_public_key_info());

        let folder = tempfile::tempdir()?;
        let issued = Certificates { folder, spki_hash: BASE64_STANDARD.encode(spki) };
        std::fs::write(issued.authority_file(), authority.pem())?;
        std::fs::write(issued.chain_file(), certificate.pem() + &authority.pem())?;
        std::fs::write(issued.key_file(), key.serialize_pem())?;
        Ok(issued)
    }

    pub(super) fn authority_file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    pub(super) fn chain_file(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
