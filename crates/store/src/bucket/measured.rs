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

/// Waits for a request, and counts it and how it ended.
async fn request<T>(operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let done = work.await;
    table::BUCKET_TIME.record(began.elapsed(), [operation]);
    count(operation, done.as_ref().err());
    done
}

fn count(operation: &'static str, error: Option<&Error>) {
    let outcome = match error {
        None => "done",
        Some(Error::NotFound { .. }) => "not_found",
        Some(Error::AlreadyExists { .. } | Error::Precondition { .. }) => "already_exists",
        Some(Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => "refused",
        Some(_) => "failed",
    };
    table::BUCKET_REQUESTS.count([operation, outcome]);
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
        let operation = if options.head { "look" } else { "read" };
        let mut found = request(operation, self.0.get_opts(location, options)).await?;
        if let GetResultPayload::Stream(bytes) = found.payload {
            let counted = bytes.inspect(|piece| match piece {
                Ok(piece) => table::BUCKET_READ_BYTES.more(piece.len() as u64),
                Err(error) => count("read", Some(error)),
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
        removed.inspect(|removed| count("remove", removed.as_ref().err())).boxed()
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

/// A list counts once, however many pages it has: as failed, or as done when its end was reached.
fn counted_list(
    listed: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let end = futures::stream::poll_fn(|_| {
        count("list", None);
        std::task::Poll::Ready(None)
    });
    let listed = listed.inspect(|object| {
        if let Err(error) = object {
            count("list", Some(error));
        }
    });
    listed.chain(end).boxed()
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
