//! A body that is sent while it is written, for async servers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::{BodyOptions, BodyWriter, Channel, ChannelSet, Message, Nanos, WriteError};

/// How many pieces may be ahead of whoever reads: while one is sent, the next is made.
const AHEAD: usize = 2;

/// A body in two halves: messages go into the first, the second is what the HTTP server sends.
/// The sender waits while the other side is slow: at most a few chunks are in memory.
///
/// ```
/// use remote_data_loader_backend::{BodyOptions, ChannelSet, Message, MessageType, Nanos, SendError, body};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let mut channels = ChannelSet::new();
/// let log = channels.add("/log", MessageType::schemaless_json())?;
/// let (mut sender, body) = body(&channels, BodyOptions::default());
/// tokio::spawn(async move {
///     for second in 0..10 {
///         // A failed sender, or one that is dropped, aborts the body.
///         sender.write(log, Message::at(Nanos(second * 1_000_000_000), b"{}")).await?;
///     }
///     sender.finish().await
/// });
/// // With axum: axum::body::Body::from_stream(body)
/// # drop(body);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Code that blocks, such as a database driver, uses the `blocking_` methods on a thread where it
/// may (`tokio::task::spawn_blocking`).
pub fn body(channels: &ChannelSet, options: BodyOptions) -> (BodySender, Body) {
    let (pieces, receiver) = mpsc::channel(AHEAD);
    let sender =
        BodySender { writer: BodyWriter::new(channels, options), pieces, waiting: VecDeque::new() };
    (sender, Body { receiver, ended: false })
}

/// Why a body is not whole: what its reader gets instead of an end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is aborted: {0}")]
pub struct BodyError(String);

/// Why nothing more can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Whoever read the body has left: there is nothing left to do.
    #[error("whoever read the body has left")]
    ReaderLeft,
    /// A message is refused; the reader sees the body abort.
    #[error(transparent)]
    Refused(#[from] WriteError),
}

/// What goes from one half to the other.
enum Piece {
    Bytes(Bytes),
    /// The body is complete.
    End,
    /// The body is not complete, and never will be.
    Failed(BodyError),
}

/// The half that messages go into. Dropped before it is finished, it aborts the body: an end is
/// never made up.
#[must_use = "a sender that is dropped aborts the body"]
pub struct BodySender {
    writer: BodyWriter,
    pieces: mpsc::Sender<Piece>,
    /// Taken from the writer and not sent yet; more than what a call adds only where the future of
    /// an earlier one was dropped.
    waiting: VecDeque<Piece>,
}

impl BodySender {
    /// Adds a message: [`BodyWriter::write`]. Waits while the reader is behind.
    ///
    /// The message is taken at once: where the future is dropped while it waits, the next call goes
    /// on, and nothing is lost.
    ///
    /// # Errors
    ///
    /// If the message is refused, or the reader has left.
    pub async fn write(&mut self, channel: Channel, message: Message<'_>) -> Result<(), SendError> {
        let written = self.writer.write(channel, message);
        self.pass_on(written).await
    }

    /// Adds a message that `encode` appends to an empty buffer: [`BodyWriter::write_with`].
    ///
    /// # Errors
    ///
    /// If the message cannot be encoded or is refused, or the reader has left.
    pub async fn write_with<E: std::fmt::Display>(
        &mut self,
        channel: Channel,
        log_time: Nanos,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), SendError> {
        let written = self.writer.write_with(channel, log_time, encode);
        self.pass_on(written).await
    }

    /// Sends all that was written so far: [`BodyWriter::flush`].
    ///
    /// # Errors
    ///
    /// If the body failed, or the reader has left.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        let flushed = self.writer.flush();
        self.pass_on(flushed).await
    }

    /// Ends the body: it is complete.
    ///
    /// # Errors
    ///
    /// If the body failed before, or the reader has left.
    pub async fn finish(mut self) -> Result<(), SendError> {
        let finished = self.writer.finish();
        self.pass_on(finished).await?;
        self.pieces.send(Piece::End).await.map_err(|_| SendError::ReaderLeft)
    }

    /// Aborts the body: the reader sees a broken connection, and asks again.
    pub async fn fail(self, why: impl std::fmt::Display) {
        let failed = Piece::Failed(BodyError(why.to_string()));
        let _reader_may_have_left = self.pieces.send(failed).await;
    }

    /// [`BodySender::write`] for code that may block.
    ///
    /// # Errors
    ///
    /// As [`BodySender::write`].
    ///
    /// # Panics
    ///
    /// In async code, which must not block.
    pub fn blocking_write(
        &mut self,
        channel: Channel,
        message: Message<'_>,
    ) -> Result<(), SendError> {
        let written = self.writer.write(channel, message);
        self.blocking_pass_on(written)
    }

    /// [`BodySender::write_with`] for code that may block.
    ///
    /// # Errors
    ///
    /// As [`BodySender::write_with`].
    ///
    /// # Panics
    ///
    /// In async code, which must not block.
    pub fn blocking_write_with<E: std::fmt::Display>(
        &mut self,
        channel: Channel,
        log_time: Nanos,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), SendError> {
        let written = self.writer.write_with(channel, log_time, encode);
        self.blocking_pass_on(written)
    }

    /// [`BodySender::flush`] for code that may block.
    ///
    /// # Errors
    ///
    /// As [`BodySender::flush`].
    ///
    /// # Panics
    ///
    /// In async code, which must not block.
    pub fn blocking_flush(&mut self) -> Result<(), SendError> {
        let flushed = self.writer.flush();
        self.blocking_pass_on(flushed)
    }

    /// [`BodySender::finish`] for code that may block.
    ///
    /// # Errors
    ///
    /// As [`BodySender::finish`].
    ///
    /// # Panics
    ///
    /// In async code, which must not block.
    pub fn blocking_finish(mut self) -> Result<(), SendError> {
        let finished = self.writer.finish();
        self.blocking_pass_on(finished)?;
        self.pieces.blocking_send(Piece::End).map_err(|_| SendError::ReaderLeft)
    }

    /// [`BodySender::fail`] for code that may block.
    ///
    /// # Panics
    ///
    /// In async code, which must not block.
    pub fn blocking_fail(self, why: impl std::fmt::Display) {
        let failed = Piece::Failed(BodyError(why.to_string()));
        let _reader_may_have_left = self.pieces.blocking_send(failed);
    }

    async fn pass_on(&mut self, written: Result<(), WriteError>) -> Result<(), SendError> {
        self.line_up(&written);
        while !self.waiting.is_empty() {
            // Whatever is taken out is sent, wherever this future is dropped.
            let place = self.pieces.reserve().await.map_err(|_| SendError::ReaderLeft)?;
            if let Some(piece) = self.waiting.pop_front() {
                place.send(piece);
            }
        }
        Ok(written?)
    }

    fn blocking_pass_on(&mut self, written: Result<(), WriteError>) -> Result<(), SendError> {
        self.line_up(&written);
        while let Some(piece) = self.waiting.pop_front() {
            self.pieces.blocking_send(piece).map_err(|_| SendError::ReaderLeft)?;
        }
        Ok(written?)
    }

    fn line_up(&mut self, written: &Result<(), WriteError>) {
        match written {
            Ok(()) if !self.writer.is_ready() => {}
            Ok(()) => self.waiting.extend(self.writer.take().into_iter().map(Piece::Bytes)),
            Err(error) => self.waiting.push_back(Piece::Failed(BodyError(error.to_string()))),
        }
    }
}

/// The half that is sent. An error in it means that the body is not whole: the server has to
/// abort the connection, as axum and hyper do.
#[must_use = "nothing is sent before it is read"]
pub struct Body {
    receiver: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(piece) = self.receiver.poll_recv(cx) else { return Poll::Pending };
        let item = match piece {
            Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
            Some(Piece::End) => None,
            Some(Piece::Failed(error)) => Some(Err(error)),
            None => Some(Err(BodyError("whoever wrote it left before its end".to_owned()))),
        };
        self.ended = true;
        self.receiver.close();
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests;
