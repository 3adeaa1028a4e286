use futures::StreamExt as _;

use super::*;
use crate::{Compression, MessageType};

fn channels() -> (ChannelSet, Channel) {
    let mut channels = ChannelSet::new();
    let channel = channels.add("/a", MessageType::schemaless_json()).unwrap();
    (channels, channel)
}

fn small_chunks() -> BodyOptions {
    BodyOptions { compression: Compression::None, chunk_bytes: 1, ..BodyOptions::default() }
}

async fn collected(body: Body) -> Result<Vec<u8>, BodyError> {
    let pieces: Vec<_> = body.collect().await;
    Ok(pieces.into_iter().collect::<Result<Vec<Bytes>, _>>()?.concat())
}

fn times(mcap: &[u8]) -> Vec<u64> {
    mcap::MessageStream::new(mcap).unwrap().map(|message| message.unwrap().log_time).collect()
}

#[tokio::test]
async fn what_is_written_arrives() {
    let (channels, channel) = channels();
    let (mut sender, body) = body(&channels, small_chunks());
    let writing = tokio::spawn(async move {
        for time in 0..20 {
            sender.write(channel, Message::at(Nanos(time), b"{}")).await?;
        }
        sender.write_with(channel, Nanos(20), |out| serde_json::to_writer(out, &1)).await?;
        sender.flush().await?;
        sender.finish().await
    });
    let mcap = collected(body).await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!(times(&mcap), (0..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn code_that_blocks_writes_the_same() {
    let (channels, channel) = channels();
    let (mut sender, body) = body(&channels, small_chunks());
    let writing = tokio::task::spawn_blocking(move || {
        for time in 0..20 {
            sender.blocking_write(channel, Message::at(Nanos(time), b"{}"))?;
        }
        sender.blocking_write_with(channel, Nanos(20), |out| serde_json::to_writer(out, &1))?;
        sender.blocking_flush()?;
        sender.blocking_finish()
    });
    let mcap = collected(body).await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!(times(&mcap).len(), 21);
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back() {
    let (channels, channel) = channels();
    let (mut sender, mut body) = body(&channels, small_chunks());
    let mut time = 0;
    let mut write_until_held_back = async || {
        while let Ok(written) = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            sender.write(channel, Message::at(Nanos(time), b"{}")),
        )
        .await
        {
            written.unwrap();
            time += 1;
            assert!(time < 100, "nothing holds it back");
        }
    };
    write_until_held_back().await;
    body.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn who_stops_waiting_loses_nothing() {
    let (channels, channel) = channels();
    let (mut sender, body) = body(&channels, small_chunks());
    for time in 0..10 {
        let write = sender.write(channel, Message::at(Nanos(time), b"{}"));
        // Dropped while it waits, but for the first few.
        let _too_late = tokio::time::timeout(std::time::Duration::ZERO, write).await;
    }
    let finishing = tokio::spawn(sender.finish());
    let mcap = collected(body).await.unwrap();
    finishing.await.unwrap().unwrap();
    assert_eq!(times(&mcap), (0..10).collect::<Vec<u64>>());
    assert_eq!(mcap::Summary::read(&mcap).unwrap().unwrap().chunk_indexes.len(), 10);
}

#[tokio::test]
async fn a_body_without_its_end_is_an_error() {
    let (channels, channel) = channels();
    // Dropped.
    let (mut sender, dropped) = body(&channels, small_chunks());
    sender.write(channel, Message::at(Nanos(5), b"{}")).await.unwrap();
    drop(sender);
    let error = collected(dropped).await.unwrap_err();
    assert!(error.to_string().contains("left before its end"), "{error}");
    // Told to fail.
    let (sender, failed) = body(&channels, small_chunks());
    sender.fail("the database is away").await;
    let error = collected(failed).await.unwrap_err();
    assert!(error.to_string().contains("the database is away"), "{error}");
    // Refused a message.
    let (mut sender, refused) = body(&channels, BodyOptions::default());
    sender.write(channel, Message::at(Nanos(5), b"{}")).await.unwrap();
    let error = sender.write(channel, Message::at(Nanos(4), b"{}")).await.unwrap_err();
    assert!(matches!(error, SendError::Refused(WriteError::OutOfOrder { .. })), "{error}");
    tokio::spawn(sender.finish());
    let error = collected(refused).await.unwrap_err();
    assert!(error.to_string().contains("ascending log time"), "{error}");
}

#[tokio::test]
async fn a_reader_that_left_stops_the_writer() {
    let (channels, channel) = channels();
    let (mut sender, body) = body(&channels, small_chunks());
    drop(body);
    let error = sender.write(channel, Message::at(Nanos(5), b"{}")).await.unwrap_err();
    assert_eq!(error, SendError::ReaderLeft);
    assert_eq!(sender.finish().await, Err(SendError::ReaderLeft));
}
