use super::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn open(path: &Path) -> Output {
    Output::open(&Target::new(path).unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_appears_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mcap");
    fs::write(&path, "old").unwrap();
    let mut output = open(&path);
    output.write(b"new ").await.unwrap();
    output.write(b"bytes").await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(output.commit().await.unwrap(), fs::canonicalize(&path).unwrap().to_str().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"new bytes");
    assert_eq!(names(folder.path()), ["out.mcap"]);
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = open(&folder.path().join("out.mcap"));
    output.write(b"half").await.unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    drop(output);
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_second_reading_replaces_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mcap");
    let mut output = open(&path);
    output.write(b"a long first reading").await.unwrap();
    assert!(output.can_restart());
    output.restart().await.unwrap();
    output.write(b"second").await.unwrap();
    output.commit().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
}

#[tokio::test]
async fn a_new_file_is_readable_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
    open(&ours).commit().await.unwrap();
    fs::write(&other, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&other));
}

#[tokio::test]
async fn a_device_stays_a_device() {
    let mut output = open(Path::new("/dev/null"));
    output.write(b"gone").await.unwrap();
    assert!(!output.can_restart());
    assert_eq!(output.commit().await.unwrap(), "/dev/null");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn folders_and_missing_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| {
        let opened = Output::open(&Target::File(path.to_owned()));
        format!("{:#}", opened.err().unwrap())
    };
    assert!(refusal(folder.path()).contains("is a folder"));
    assert!(refusal(&folder.path().join("missing/out.mcap")).contains("cannot write"));
}
