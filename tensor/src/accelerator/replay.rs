//! Work of an accelerator that is noted once and done again as a whole.

use super::Accelerator;
use crate::{Error, Result};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use vincie_gpu::{Buffer, Graph, Region};

/// One large allocation. Pieces of work share it one after another: none finds what another left.
#[derive(Clone, Debug)]
pub struct Workspace(Buffer<u8>);

impl Workspace {
    /// Its size.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Noted work with what it reads and writes.
pub struct Replay<T> {
    graph: Graph,
    place: Accelerator,
    held: T,
}

impl<T> Replay<T> {
    /// What was prepared for the work.
    pub fn held(&self) -> &T {
        &self.held
    }

    /// Starts all of the work.
    pub fn start(&self) -> Result<()> {
        self.place.0.replays.fetch_add(1, Relaxed);
        Ok(self.graph.launch(self.place.stream())?)
    }

    /// Pieces of work.
    pub fn nodes(&self) -> usize {
        self.graph.nodes()
    }
}

impl<T> fmt::Debug for Replay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replay({} pieces of work)", self.nodes())
    }
}

impl Accelerator {
    /// An allocation for [`Accelerator::capture`].
    pub fn workspace(&self, bytes: usize) -> Result<Workspace> {
        Ok(Workspace(self.0.stream.allocate(bytes, "workspace")?))
    }

    /// The bytes that a workspace needs for `work`, which is noted, and not done.
    pub fn measure<E: From<Error>>(
        &self,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<usize, E> {
        let measured = self.0.stream.measure(|_| work().map_err(Failure));
        measured.map_err(|Failure(error)| error)
    }

    /// Does work at once, with all that it allocates in a workspace. Nothing may be left of it when
    /// other work takes the workspace.
    pub fn run_in<R>(&self, workspace: &Workspace, work: impl FnOnce() -> R) -> R {
        self.0.stream.within(&Region::over(&workspace.0), work)
    }

    /// Notes `work` on what `prepare` made, which is done at once and stays at its place. Both
    /// allocate in the workspace.
    ///
    /// The work may differ between replays in the values that its tensors hold, and in nothing else:
    /// numbers that the host hands to kernels, shapes and the order of ops stay as they are now.
    pub fn capture<T, E: From<Error>>(
        &self,
        workspace: &Workspace,
        prepare: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&T) -> Result<(), E>,
    ) -> Result<Replay<T>, E> {
        let (region, stream) = (Region::over(&workspace.0), &self.0.stream);
        let held = stream.within(&region, prepare)?;
        let graph = stream.capture_in(&region, |_| work(&held).map_err(Failure));
        let graph = graph.map_err(|Failure(error)| error)?;
        Ok(Replay { graph, place: self.clone(), held })
    }
}

/// The caller's error, which those of the device become, too.
struct Failure<E>(E);

impl<E: From<Error>> From<vincie_gpu::Error> for Failure<E> {
    fn from(error: vincie_gpu::Error) -> Self {
        Self(E::from(Error::from(error)))
    }
}
