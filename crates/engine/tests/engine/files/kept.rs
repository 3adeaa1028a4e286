//! What is kept of a file, for whoever was granted it before and can ask nobody any more.

use rdl_model::{ErrorKind, Nanos, TimeRange};

use super::*;
use crate::faulty::Answer;
use crate::setting::{Replica, Setting, ask, source};

fn kept(version: FileVersion) -> FileRequest {
    FileRequest { version: Some(version), kept_only: true, ..request() }
}

async fn whole(replica: &Replica, request: &FileRequest) -> (FileVersion, Vec<u8>) {
    let file = replica.engine.open_file(request, PATIENCE).await.unwrap();
    (file.version(), read_whole(&file).await)
}

async fn refused(replica: &Replica, request: &FileRequest) {
    let error = replica.engine.open_file(request, PATIENCE).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_served_without_asking_anybody() {
    let setting =
        Setting::of_several(vec![source(700), source(300)], |source| Answer::Whole(source.mcap()));
    let setting = setting.await;
    let replica = setting.replica().await;
    let query = Query {
        times: TimeRange { start: Nanos(3_000_000_000), end: Nanos(4_999_999_999) },
        ..Query::default()
    };
    let cut = FileRequest { cut: Some(query), ..request() };
    let (version, bytes) = whole(&replica, &request()).await;
    let (cut_version, cut_bytes) = whole(&replica, &cut).await;
    setting.settled().await;
    setting.backend.refuse(401);
    let asked = setting.backend.requests("/manifest");
    let cut = FileRequest { version: Some(cut_version), kept_only: true, ..cut };
    // The one that loaded it, and one that knows nothing but the link.
    for replica in [&replica, &setting.replica().await] {
        assert!(whole(replica, &kept(version)).await == (version, bytes.clone()));
        assert!(whole(replica, &cut).await == (cut_version, cut_bytes.clone()));
    }
    assert_eq!(setting.backend.requests("/manifest"), asked);
    assert_eq!(setting.downloads(), 1);
    // Whoever does not say so is refused as ever.
    let error = open_pinned(&replica.engine, version).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_not_loaded() {
    let setting = Setting::of(source(300), |source| Answer::Whole(source.mcap())).await;
    let replica = setting.replica().await;
    let (version, _) = whole(&replica, &request()).await;
    for name in setting.settled().await.iter().filter(|name| name.ends_with("complete.json")) {
        setting.store.damage(name, false).await;
    }
    let late = setting.replica().await;
    refused(&late, &kept(version)).await;
    refused(&late, &kept("0123456789abcdef0123456789abcdef".parse().unwrap())).await;
    refused(&late, &FileRequest { kept_only: true, ..request() }).await;
    assert_eq!(setting.downloads(), 1);
    // Nothing of that is in the way of those who may ask.
    setting.assert_whole(&ask(&late).await);
}
