use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::Process;

impl Process {
    /// Stops it where it is: connections stay open, new ones are accepted by the system alone, and
    /// nothing is answered until [`thaw`](Self::thaw).
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.id().context("it has ended")?;
        let id =
            i32::try_from(id).ok().and_then(Pid::from_raw).context("no process has this id")?;
        Ok(kill_process(id, signal)?)
    }
}
