//! The ready data backend over files: in the loader's process, and in one of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rdl_testkit::servers::VersityServer;
use rdl_testkit::{
    Drive, FileSpec, Message, Process, Recording, Viewer, arrived, check_all, check_beginning,
    decode, get,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::running::{BINARY, Running};

/// Files of every kind in the folder `drive`, and one in the folder `cut` that was cut off.
fn write(root: &Path) -> (Recording, Vec<Message>) {
    let drive = Drive { messages: 400, payload_bytes: 2_000, ..Drive::default() };
    let recording = drive.generate();
    // Chunks that the loader fetches one by one.
    let chunk_bytes = Some(100_000);
    let specs = [
        FileSpec { chunk_bytes, ..FileSpec::default() },
        FileSpec { summary: false, ..FileSpec::default() },
        FileSpec { chunk_bytes: None, summary: false, ..FileSpec::default() },
        FileSpec { chunk_bytes, compression: None, ..FileSpec::default() },
    ];
    for folder in ["drive", "cut"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    for (number, (messages, spec)) in recording.sources.iter().zip(&specs).enumerate() {
        let path = root.join(format!("drive/{number} #größe.mcap"));
        std::fs::write(path, spec.write(messages)).unwrap();
    }
    std::fs::write(root.join("drive/not yet.mcap"), "").unwrap();
    let whole = specs[3].write(&recording.sources[0]);
    let cut = &whole[..whole.len() * 2 / 3];
    std::fs::write(root.join("cut/run.mcap"), cut).unwrap();
    // All of the chunks that are there whole.
    let least = arrived(&whole[..whole.len() / 3]).unwrap();
    (recording, least)
}

async fn check(loader: &Running, headers: &[(&str, &str)], truth: &(Recording, Vec<Message>)) {
    let (recording, least) = truth;
    let all = loader.stream("ds.recording=drive", headers).await;
    check_all(&all.messages, &recording.merged()).unwrap();
    let window = "&topics=/group1/topic0&start=1700000002000000000&end=1700000015000000000";
    let part = loader.stream(&format!("ds.recording=drive{window}"), headers).await;
    let selected = recording.selected(
        &["/group1/topic0"],
        1_700_000_002_000_000_000,
        1_700_000_015_000_000_000,
    );
    check_all(&part.messages, &selected).unwrap();
    let one = loader.stream("ds.recording=drive/1%20%23gr%C3%B6%C3%9Fe", headers).await;
    check_all(&one.messages, &recording.sources[1]).unwrap();
    let cut = loader.stream("ds.recording=cut/run", headers).await;
    check_beginning(&cut.messages, &recording.sources[0]).unwrap();
    assert!(cut.messages.len() >= least.len() && !least.is_empty());
    let two = loader.stream("ds.recording=cut&ds.recording=drive/1%20%23gr%C3%B6%C3%9Fe", headers);
    assert_eq!(two.await.messages.len(), cut.messages.len() + one.messages.len());
    let missing = loader.ask("ds.recording=elsewhere", headers).await;
    assert_eq!(missing.status, 404);
    let words = missing.header("x-foxglove-error-message").unwrap();
    assert!(words.contains("there is no recording"), "{words}");
}

/// `serve` over a folder, in one process.
async fn serve(folder: &Path, environment: &[(&str, &str)]) -> Running {
    let mut all = vec![("BACKEND", folder.to_str().unwrap()), ("ALLOW_HTTP_SOURCES", "false")];
    all.extend_from_slice(environment);
    // An empty endpoint is none.
    Running::start("", &all).await
}

#[tokio::test]
async fn one_command_serves_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let truth = write(folder.path());
    let loader = serve(folder.path(), &[]).await;
    check(&loader, &[], &truth).await;
    let described = loader.describe("ds.recording=drive").await;
    assert_eq!(described["problems"], serde_json::json!([]), "{described}");
    let printed = loader.process.printed();
    let url = printed.split("curl ").nth(1).unwrap().split_whitespace().next().unwrap();
    let listed = get(url, &[]).await.unwrap().json().unwrap();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
}

#[tokio::test]
async fn with_auth_the_backend_in_the_process_checks_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let truth = write(folder.path());
    let loader =
        serve(folder.path(), &[("DISABLE_AUTH", "false"), ("BACKEND_TOKEN", "hunter2")]).await;
    for headers in [&[][..], &[("authorization", "Bearer hunter")]] {
        assert_eq!(loader.ask("ds.recording=drive", headers).await.status, 401);
    }
    check(&loader, &[("authorization", "Bearer hunter2")], &truth).await;
    assert!(!loader.process.printed().contains("hunter"), "{}", loader.process.printed());
}

#[tokio::test]
async fn a_backend_and_a_loader_in_front_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let truth = write(folder.path());
    let path = folder.path().to_str().unwrap();
    let arguments = ["backend", path, "--address", "127.0.0.1:0"];
    let environment = [("BACKEND_TOKEN", "hunter2"), ("RUST_LOG", "trace")];
    let backend = Process::start(Path::new(BINARY), &arguments, &environment).await.unwrap();
    let endpoint = format!("{}/manifest", backend.url());
    let loader = Running::start(&endpoint, &[("DISABLE_AUTH", "false")]).await;
    assert_eq!(loader.ask("ds.recording=drive", &[]).await.status, 401);
    check(&loader, &[("authorization", "Bearer hunter2")], &truth).await;
    assert!(!backend.printed().contains("hunter"), "{}", backend.printed());
    let alive = get(&format!("{}/liveness", backend.url()), &[]).await.unwrap();
    assert_eq!(alive.status, 200);

    let address = backend.url();
    let address = address.strip_prefix("http://").unwrap();
    std::fs::write(folder.path().with_extension("mcap"), "outside").unwrap();
    let outside = folder.path().file_name().unwrap().to_str().unwrap();
    for path in [
        format!("/files/../{outside}.mcap"),
        format!("/files/%2e%2e/{outside}.mcap"),
        format!("/files/drive/..%2f..%2f{outside}.mcap"),
        format!("/files//{outside}.mcap"),
        "/files/../../../../etc/passwd".to_owned(),
        "/manifest?recording=../".to_owned(),
        format!("/manifest?recording=..%2F{outside}"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer hunter2\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("outside\n") && !answer.contains("root:"), "{answer}");
    }
    std::fs::remove_file(folder.path().with_extension("mcap")).unwrap();
}

#[tokio::test]
async fn the_log_says_how_many_files_there_are_or_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = ["backend", path, "--address", "127.0.0.1:0"];
    for expected in ["there is no MCAP file", "found MCAP files"] {
        let backend = Process::start(Path::new(BINARY), &arguments, &[]).await.unwrap();
        let told = async {
            while !backend.printed().contains(expected) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        assert!(told.is_ok(), "{expected}: {}", backend.printed());
        std::fs::write(folder.path().join("a.mcap"), "").unwrap();
    }
}

async fn fails(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let (status, _, stderr) = run(arguments, environment).await;
    (status, stderr)
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .env("PROMETHEUS_ADDRESS", "127.0.0.1:0")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await;
    let output = output.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn what_cannot_be_served_stops_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let endpoint = ("MANIFEST_ENDPOINT", "https://data.example.com/manifest");
    let (status, text) = fails(&["serve", "--backend", folder], &[endpoint]).await;
    assert_eq!((status, text.lines().count()), (Some(2), 1), "{text}");
    for named in ["BACKEND_TOKEN", "DISABLE_AUTH"] {
        assert!(text.contains(named), "{text}");
    }
    let open = ("DISABLE_AUTH", "true");
    let (status, text) = fails(&["serve", "--backend", folder], &[endpoint, open]).await;
    assert_eq!((status, text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.contains("MANIFEST_ENDPOINT") && text.contains("BACKEND"), "{text}");
    let (status, text) = fails(&["backend", "/nowhere/at/all"], &[]).await;
    assert!(status == Some(2) && text.contains("cannot list the folder /nowhere"), "{text}");
    assert_eq!(fails(&["backend"], &[]).await.0, Some(2));

    let server = VersityServer::start().await.unwrap();
    server.create_bucket("recordings").unwrap();
    let url = server.url();
    for (bucket, secret, named) in [
        ("s3://missing", VersityServer::SECRET_KEY, "there is no bucket missing"),
        ("s3://recordings/a", "not its key", "S3_COMPATIBLE_SECRET_ACCESS_KEY"),
    ] {
        let environment = [
            ("S3_COMPATIBLE_SERVICE_URL", url.as_str()),
            ("S3_COMPATIBLE_ACCESS_KEY_ID", VersityServer::ACCESS_KEY),
            ("S3_COMPATIBLE_SECRET_ACCESS_KEY", secret),
            open,
        ];
        for command in [&["backend", bucket][..], &["serve", "--backend", bucket]] {
            let mut command = command.to_vec();
            command.extend(["--address", "127.0.0.1:0"]);
            // To `backend` the loopback interface is open without saying so.
            let environment = &environment[..if command[0] == "backend" { 3 } else { 4 }];
            let (status, text) = fails(&command, environment).await;
            assert_eq!((status, text.lines().count()), (Some(1), 1), "{command:?}: {text}");
            assert!(text.contains(named) && !text.contains("not its key"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_loader_reads_signed_urls_of_a_bucket() {
    let server = VersityServer::start().await.unwrap();
    server.create_bucket("recordings").unwrap();
    let truth = {
        let folder = tempfile::tempdir().unwrap();
        let truth = write(folder.path());
        for name in ["drive", "cut"] {
            for entry in std::fs::read_dir(folder.path().join(name)).unwrap() {
                let entry = entry.unwrap();
                let key = format!("team/a/{name}/{}", entry.file_name().to_str().unwrap());
                put(&server.url(), &key, std::fs::read(entry.path()).unwrap()).await;
            }
        }
        truth
    };
    let url = server.url();
    let environment = [
        ("BACKEND", "s3://recordings/team/a"),
        ("BACKEND_SIGNED_URLS", "true"),
        ("S3_COMPATIBLE_SERVICE_URL", url.as_str()),
        ("S3_COMPATIBLE_ACCESS_KEY_ID", VersityServer::ACCESS_KEY),
        ("S3_COMPATIBLE_SECRET_ACCESS_KEY", VersityServer::SECRET_KEY),
    ];
    let loader = Running::start("", &environment).await;
    check(&loader, &[], &truth).await;
}

/// Puts an object into the bucket `recordings` of a versitygw.
pub(crate) async fn put(url: &str, key: &str, bytes: Vec<u8>) {
    use object_store::{ObjectStoreExt as _, aws::AmazonS3Builder};
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = AmazonS3Builder::new()
        .with_bucket_name("recordings")
        .with_endpoint(url)
        .with_access_key_id(VersityServer::ACCESS_KEY)
        .with_secret_access_key(VersityServer::SECRET_KEY)
        .with_allow_http(true)
        .build()
        .unwrap();
    store.put(&object_store::path::Path::parse(key).unwrap(), bytes.into()).await.unwrap();
}

/// A recording is written for longer than an answer of it may last unasked, and finished; whoever
/// reads it meanwhile gets all of what there was when they asked.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_recording_that_is_being_written_last() {
    const TOKEN: &str = "hunter2";
    const GROWS_FOR: Duration = Duration::from_secs(14);
    let drive =
        Drive { messages: 4_000, windows: 1, groups: 1, payload_bytes: 8_000, ..Drive::default() };
    let truth = drive.generate().merged();
    let spec = FileSpec { chunk_bytes: Some(300_000), compression: None, ..FileSpec::default() };
    let written = spec.write(&truth);
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("live.mcap")).unwrap();
    let half = written.len() / 2;
    file.write_all(&written[..half]).unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = ["backend", path, "--address", "127.0.0.1:0"];
    let environment = [("BACKEND_TOKEN", TOKEN)];
    let backend = Process::start(Path::new(BINARY), &arguments, &environment).await.unwrap();
    let endpoint = format!("{}/manifest", backend.url());
    let loader = Running::start(&endpoint, &[("DISABLE_AUTH", "false")]).await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/v1/stream?ds.recording=live", loader.process.url());
    // From here on the next part is ten seconds away.
    let named = get(&format!("{endpoint}?recording=live"), &headers).await.unwrap();
    assert_eq!(named.status, 200, "{}", named.text());
    // Longer than the manifest is believed, twice.
    let slowly = async |duration: Duration| {
        let mut viewer = Viewer::open_narrow_with(&url, &headers).await.unwrap();
        viewer.read_slowly(200_000, duration).await;
        assert!(!viewer.ended(), "{}", loader.process.printed());
        let answer = viewer.rest().await.unwrap();
        assert!(answer.status == 200 && answer.complete, "{}", loader.process.printed());
        decode(&answer.body).unwrap().messages
    };
    let started = tokio::time::Instant::now();
    let grows = async {
        let (mut at, step) = (half, (written.len() - half) / 140);
        while started.elapsed() < GROWS_FOR {
            let end = (at + step).min(written.len() - 1);
            file.write_all(&written[at..end]).unwrap();
            at = end;
            tokio::time::sleep(GROWS_FOR / 140).await;
        }
        file.write_all(&written[at..]).unwrap();
    };
    let checked = async {
        let url = format!("{endpoint}?recording=live");
        let arguments = ["check", "--expect-auth", &url];
        let token = [("REMOTE_DATA_LOADER_TOKEN", TOKEN)];
        let mut told = Vec::new();
        for at in [3, 18] {
            tokio::time::sleep_until(started + Duration::from_secs(at)).await;
            told.push(run(&arguments, &token).await);
        }
        told
    };
    let later = async {
        tokio::time::sleep_until(started + Duration::from_secs(11)).await;
        slowly(Duration::from_secs(12)).await
    };
    let ((), first, second, checks) =
        tokio::join!(grows, slowly(Duration::from_secs(23)), later, checked);
    check_all(&first, &truth[..intact(&written[..half])]).unwrap();
    check_beginning(&second, &truth).unwrap();
    assert!(first.len() < second.len(), "{} {}", first.len(), second.len());
    let all = loader.stream("ds.recording=live", &headers).await;
    check_all(&all.messages, &truth).unwrap();
    for (status, stdout, stderr) in checks {
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{stdout}");
    }
    // While somebody may go by its parts it is nothing but these.
    let manifest = get(&format!("{endpoint}?recording=live"), &headers).await.unwrap();
    let manifest = manifest.json().unwrap();
    let sources = manifest["sources"].as_array().unwrap();
    let is_part =
        |source: &serde_json::Value| source["url"].as_str().unwrap().starts_with("intact");
    assert!(sources.len() >= 3 && sources.iter().all(is_part), "{manifest}");
}

/// How many messages lie in chunks that are whole in this beginning of a file.
fn intact(file: &[u8]) -> usize {
    let (mut at, mut end) = (8, 0);
    while let Some(head) = file[at..].first_chunk::<9>() {
        let length = u64::from_le_bytes(head[1..].try_into().unwrap());
        at += 9 + usize::try_from(length).unwrap();
        if at > file.len() {
            break;
        }
        if head[0] == 0x06 {
            end = at;
        }
    }
    arrived(&file[..end]).unwrap().len()
}

#[tokio::test]
async fn large_files_without_an_index_and_viewers_who_stop_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let drive =
        Drive { messages: 250, windows: 1, groups: 1, payload_bytes: 20_000, ..Drive::default() };
    let messages = drive.generate().merged();
    let spec = FileSpec { compression: None, summary: false, crcs: false, ..FileSpec::default() };
    let once = spec.write(&messages);
    let (front, records) = parts(&once);
    let mut file = std::fs::File::create(folder.path().join("large.mcap")).unwrap();
    file.write_all(front).unwrap();
    for _ in 0..60 {
        file.write_all(records).unwrap();
    }
    drop(file);
    let large = std::fs::metadata(folder.path().join("large.mcap")).unwrap().len();
    assert!(large > 200 << 20, "{large}");
    let path = folder.path().to_str().unwrap();
    let arguments = ["backend", path, "--address", "127.0.0.1:0"];
    let backend = Process::start(Path::new(BINARY), &arguments, &[]).await.unwrap();
    let manifest = get(&format!("{}/manifest?recording=large", backend.url()), &[]).await.unwrap();
    let manifest = manifest.json().unwrap();
    let source = &manifest["sources"][0];
    let intact = format!("{}/{}", backend.url(), source["url"].as_str().unwrap());
    let mut viewers = Vec::new();
    for number in 0..24 {
        let url = match number % 2 {
            0 => intact.clone(),
            _ => format!("{}/files/large.mcap", backend.url()),
        };
        viewers.push(Viewer::open_narrow(&url).await.unwrap());
    }
    let whole = get(&intact, &[]).await.unwrap();
    assert!(whole.complete && whole.body.len() as u64 > large - 100);
    drop(whole);
    let (_, most) = rdl_testkit::Observed::of(backend.id().unwrap()).resident_bytes().unwrap();
    assert!(most < 150 << 20, "{} MiB", most >> 20);
    eprintln!("a file of {} MiB and {} viewers: {} MiB", large >> 20, viewers.len(), most >> 20);
}

/// Magic and header, and the records behind them up to the end of the data.
fn parts(file: &[u8]) -> (&[u8], &[u8]) {
    let length = u64::from_le_bytes(file[9..17].try_into().unwrap());
    let (front, rest) = file.split_at(17 + usize::try_from(length).unwrap());
    // Data end, footer and magic.
    (front, &rest[..rest.len() - 13 - 29 - 8])
}
