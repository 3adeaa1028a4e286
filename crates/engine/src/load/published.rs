//! What other replicas are told of a load.

use std::time::Duration;

use rdl_mcap_io::Index;
use rdl_model::SourceKey;
use rdl_store::{Attempt, RunningEnd, StoreError};

use crate::sharing::{Claim, CompleteText, Publisher, Sharing};

/// Tells whoever publishes a load what there is of it, each thing once.
#[derive(Default)]
pub(super) struct Published {
    publisher: Option<Publisher>,
    told_parts: usize,
    /// Whether the parts have the messages of the data endpoint's body in another order, or lack
    /// something; and whether that was told.
    is_mended: bool,
    told_mended: bool,
}

impl Published {
    /// From now on what the attempt has goes to the bucket as well.
    pub(super) fn begin(
        &mut self,
        sharing: &Sharing,
        key: SourceKey,
        claim: Claim,
        attempt: &Attempt,
    ) {
        self.publisher = Some(Publisher::start(sharing, key, claim, &attempt.files()));
        (self.told_parts, self.told_mended) = (0, false);
        self.tell(attempt);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.publisher.is_some()
    }

    /// The messages from here on are not those of the data endpoint's body as they came.
    pub(super) fn mended(&mut self) {
        self.is_mended = true;
    }

    /// Tells of the parts that were closed since.
    pub(super) fn tell(&mut self, attempt: &Attempt) {
        let Some(publisher) = &mut self.publisher else { return };
        if self.is_mended && !std::mem::replace(&mut self.told_mended, true) {
            publisher.mended();
        }
        for part in attempt.closed_parts(self.told_parts) {
            publisher.part(part);
            self.told_parts += 1;
        }
    }

    /// Every part is closed, and this is the whole index; whether the source is kept on the disk.
    pub(super) fn complete(
        mut self,
        attempt: &Attempt,
        index: Index,
        is_kept: bool,
    ) -> Result<(), StoreError> {
        self.tell(attempt);
        let Some(publisher) = self.publisher else { return Ok(()) };
        let text = match is_kept {
            true => CompleteText::Kept,
            // After an error the publisher goes, and the attempt is released.
            false => {
                let text = attempt.complete_text(&index)?;
                CompleteText::Held { text, _files: attempt.files() }
            }
        };
        let Index { profile, metadata, problems, .. } = index;
        publisher.complete(RunningEnd { profile, metadata, problems }, text);
        Ok(())
    }

    /// The first part, from 1, that has to stay on the disk until it is in the bucket; `None`
    /// where none has to. A publisher that gets nowhere is given up.
    pub(super) fn needs_from(&mut self) -> Option<u32> {
        let needed = self.publisher.as_ref()?.needs_from();
        if needed.is_none() {
            self.publisher = None;
        }
        needed
    }

    /// Whether other replicas follow it.
    pub(super) fn is_followed(&self) -> bool {
        self.publisher.as_ref().is_some_and(Publisher::is_followed)
    }

    /// For how long it has to go on for followers of whom it may not know yet.
    pub(super) fn followers_linger(&self) -> Duration {
        self.publisher.as_ref().map_or(Duration::ZERO, Publisher::followers_linger)
    }
}
