//! An object store whose requests and bytes are counted.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use rdl_metrics::table;

/// The same store, counted.
#[derive(Debug)]
pub(super) struct Measured(pub(super) Arc<dyn ObjectStore>);

/// A request that is counted when it is over, however it ends.
struct Asked {
    operation: &'static str,
    began: Instant,
    /// The head of its answer came.
    is_answered: bool,
    outcome: &'static str,
}

impl Asked {
    fn new(operation: &'static str) -> Asked {
        // Whoever waits for too long drops it.
        Asked { operation, began: Instant::now(), is_answered: false, outcome: "given_up" }
    }

    fn answered<T>(&mut self, answer: &Result<T>) {
        self.is_answered = true;
        table::BUCKET_TIME.record(self.began.elapsed(), [self.operation]);
        self.outcome = match answer {
            Ok(_) => "done",
            Err(Error::NotFound { .. }) => "not_found",
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => "already_exists",
            Err(Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => "refused",
            Err(_) => "failed",
        };
    }

    fn ends_as(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered {
            table::BUCKET_TIME.record(self.began.elapsed(), [self.operation]);
        }
        table::BUCKET_REQUESTS.count([self.operation, self.outcome]);
    }
}

/// Waits for a request, and counts it and how it ended.
async fn request<T>(operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut asked = Asked::new(operation);
    let done = work.await;
    asked.answered(&done);
    done
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        let put = request("write", self.0.put_opts(location, payload, options)).await?;
        table::BUCKET_WRITTEN_BYTES.more(bytes);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = request("write", self.0.put_multipart_opts(location, options)).await?;
        Ok(Box::new(MeasuredUpload(upload)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut asked = Asked::new(if options.head { "look" } else { "read" });
        let found = self.0.get_opts(location, options).await;
        asked.answered(&found);
        let mut found = found?;
        let expected_bytes = found.range.end - found.range.start;
        if let GetResultPayload::Stream(bytes) = found.payload {
            let mut came_bytes = 0;
            // A stall is given up by whoever reads; one who has all of it need not ask for the end.
            asked.ends_as(if expected_bytes > 0 { "given_up" } else { "done" });
            let counted = bytes.inspect(move |piece| match piece {
                Ok(piece) => {
                    came_bytes += piece.len() as u64;
                    table::BUCKET_READ_BYTES.more(piece.len() as u64);
                    if came_bytes >= expected_bytes {
                        asked.ends_as("done");
                    }
                }
                Err(_) => asked.ends_as("failed"),
            });
            found.payload = GetResultPayload::Stream(counted.boxed());
        }
        Ok(found)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let removed = self.0.delete_stream(locations);
        removed.inspect(|removed| Asked::new("remove").answered(removed)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        counted_list(self.0.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        counted_list(self.0.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        request("list", self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        request("copy", self.0.copy_opts(from, to, options)).await
    }
}

/// A list counts once, however many pages it has. One that is left early has told what was wanted.
fn counted_list(
    listed: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let mut asked = Asked::new("list");
    let mut listed = listed;
    futures::stream::poll_fn(move |context| {
        let object = std::task::ready!(listed.poll_next_unpin(context));
        match &object {
            Some(Err(_)) => asked.ends_as("failed"),
            _ if !asked.is_answered => asked.answered(&Ok(())),
            _ => {}
        }
        std::task::Poll::Ready(object)
    })
    .boxed()
}

#[derive(Debug)]
struct MeasuredUpload(Box<dyn MultipartUpload>);

#[async_trait]
impl MultipartUpload for MeasuredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length() as u64;
        let part = self.0.put_part(data);
        Box::pin(async move {
            request("write", part).await?;
            table::BUCKET_WRITTEN_BYTES.more(bytes);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        request("write", self.0.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        request("remove", self.0.abort()).await
    }
}
