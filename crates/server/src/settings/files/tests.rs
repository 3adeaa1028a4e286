use clap::Parser;

use super::*;
use crate::backend::BackendArgs;
use crate::serve::ServeArgs;

#[derive(Parser, Debug)]
struct Backend {
    #[command(flatten)]
    args: BackendArgs,
}

#[derive(Parser, Debug)]
struct Serve {
    #[command(flatten)]
    args: ServeArgs,
}

/// Without the variables of whoever runs the tests.
fn parse<P: Parser>(flags: &[&str]) -> Result<P, clap::Error> {
    let command = P::command().mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    P::from_arg_matches(&command.try_get_matches_from(["loader"].iter().chain(flags))?)
}

fn backend(flags: &[&str]) -> Result<(), String> {
    let parsed: Backend = parse(flags).map_err(|error| error.to_string())?;
    parsed.args.check().map(|_| ()).map_err(|error| error.to_string())
}

fn serve(flags: &[&str]) -> Result<(), String> {
    let parsed: Serve = parse(flags).map_err(|error| error.to_string())?;
    parsed.args.check().map(|_| ()).map_err(|error| error.to_string())
}

const KEYS: &str = "--jwks-url=https://idp.example.com/jwks";

#[test]
fn places_are_folders_and_urls_of_buckets() {
    let bucket = |scheme, name: &str, prefix: &str| {
        Ok(FilesPlace::Bucket { scheme, name: name.to_owned(), prefix: prefix.to_owned() })
    };
    assert_eq!(parse_place("data/here"), Ok(FilesPlace::Folder("data/here".into())));
    assert_eq!(parse_place("s3://b"), bucket(Scheme::S3, "b", ""));
    assert_eq!(parse_place("gs://b/team/a/"), bucket(Scheme::Gs, "b", "team/a"));
    assert_eq!(parse_place("az://c/x"), bucket(Scheme::Az, "c", "x"));
    for text in ["http://b", "file:///data", "s3://", "s3:///x", "s3://me:secret@b", "s3://b c"] {
        let error = parse_place(text).unwrap_err();
        assert!(error.contains("s3://bucket/prefix") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn what_other_machines_reach_is_checked_or_open_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    backend(&[folder]).unwrap();
    backend(&[folder, "--address=[::1]:0"]).unwrap();
    let open = backend(&[folder, "--address=0.0.0.0:8081"]).unwrap_err();
    for named in ["BACKEND_TOKEN", "BACKEND_JWKS_URL", "DISABLE_AUTH"] {
        assert!(open.contains(named), "{open}");
    }
    backend(&[folder, "--address=0.0.0.0:8081", "--disable-auth"]).unwrap();
    backend(&[folder, "--address=0.0.0.0:8081", "--token=hunter2"]).unwrap();
    let both = backend(&[folder, "--token=hunter2", "--disable-auth"]).unwrap_err();
    assert!(both.starts_with("DISABLE_AUTH") && !both.contains("hunter2"), "{both}");
}

#[test]
fn checks_that_contradict_each_other_or_check_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let audience = "--jwt-audience=files";
    backend(&[folder, KEYS, audience]).unwrap();
    backend(&[folder, KEYS, audience, "--jwt-prefix-claim=team"]).unwrap();
    for (flags, named) in [
        (&["--token=hunter2", KEYS, audience][..], "BACKEND_TOKEN"),
        (&["--token=two words"], "BACKEND_TOKEN"),
        (&[KEYS], "BACKEND_JWT_AUDIENCE"),
        (&[audience], "BACKEND_JWT_AUDIENCE"),
        (&["--jwt-issuer=x"], "BACKEND_JWT_ISSUER"),
        (&["--token=hunter2", "--jwt-prefix-claim=team"], "BACKEND_JWT_PREFIX_CLAIM"),
        (&[KEYS, audience, "--jwt-prefix={}/"], "BACKEND_JWT_PREFIX"),
        (&[KEYS, audience, "--jwt-prefix-claim=team", "--jwt-prefix=all"], "BACKEND_JWT_PREFIX"),
        (&["--signed-urls"], "BACKEND_SIGNED_URLS"),
    ] {
        let error = backend(&[&[folder], flags].concat()).unwrap_err();
        assert!(error.starts_with(named), "{flags:?}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("two words"), "{error}");
    }
    let plain = backend(&[folder, "--jwks-url=http://idp.example.com/jwks"]).unwrap_err();
    assert!(plain.contains("accepts an absolute https URL"), "{plain}");
    let missing = backend(&["/nowhere/at/all"]).unwrap_err();
    assert!(missing.contains("BACKEND is wrong: cannot list the folder /nowhere"), "{missing}");
}

#[test]
fn a_bucket_is_reached_with_the_caches_variables() {
    let url = "--s3-compatible-service-url=http://127.0.0.1:1";
    let error = backend(&["s3://b", url]).unwrap_err();
    assert!(
        error.starts_with("S3_COMPATIBLE_ACCESS_KEY_ID is not set; a bucket of s3://"),
        "{error}"
    );
    let keys = ["--s3-compatible-access-key-id=a", "--s3-compatible-secret-access-key=b"];
    backend(&["s3://b/c", url, keys[0], keys[1], "--signed-urls"]).unwrap();
    let error = backend(&["az://c"]).unwrap_err();
    assert!(error.starts_with("STORAGE_AZURE_STORAGE_ACCOUNT_NAME is not set"), "{error}");
}

#[test]
fn serve_has_the_backend_in_the_place_of_a_manifest_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let here = format!("--backend={}", folder.path().display());
    let here = here.as_str();
    let endpoint = "--manifest-endpoint=https://data.example.com/manifest";
    let both = serve(&[here, endpoint, "--disable-auth"]).unwrap_err();
    assert!(both.contains("MANIFEST_ENDPOINT") && both.contains("BACKEND"), "{both}");
    serve(&[here, "--disable-auth"]).unwrap();
    // With auth somebody has to check tokens.
    let unchecked = serve(&[here]).unwrap_err();
    for named in ["BACKEND_TOKEN", "BACKEND_JWKS_URL", "DISABLE_AUTH"] {
        assert!(unchecked.contains(named), "{unchecked}");
    }
    serve(&[here, "--backend-token=hunter2"]).unwrap();
    let keys = ["--backend-jwks-url=https://idp.example.com/jwks", "--backend-jwt-audience=files"];
    serve(&[here, keys[0], keys[1]]).unwrap();
    // What would refuse everyone, or have no effect, is not meant.
    for check in [&["--backend-token=hunter2"][..], &keys] {
        let never = serve(&[&[here, "--disable-auth"], check].concat()).unwrap_err();
        assert!(never.starts_with("DISABLE_AUTH is true, and BACKEND_TOKEN or"), "{never}");
    }
    let origins = "--auth-token-origins=https://data.example.com";
    let unheeded = serve(&[here, "--disable-auth", origins]).unwrap_err();
    assert!(unheeded.starts_with("AUTH_TOKEN_ORIGINS is set, and BACKEND is too"), "{unheeded}");
    let outside = serve(&[here, "--disable-auth", "--backend-address=0.0.0.0:0"]).unwrap_err();
    assert!(outside.starts_with("BACKEND_ADDRESS"), "{outside}");
    let unused = serve(&[endpoint, "--backend-token=hunter2"]).unwrap_err();
    assert!(unused.starts_with("BACKEND_TOKEN is set, and BACKEND is not"), "{unused}");
    serve(&[endpoint]).unwrap();
    assert!(serve(&[endpoint, "--token=x"]).unwrap_err().contains("unexpected argument"));
}
