//! Graphs: work of streams that is noted once and done again as a whole.

use crate::device::{Inner, lock};
use crate::error::{Error, Result};
use crate::stream::Stream;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use vincie_driver::{Out, Raw, call};

/// Other calls of the program are allowed during the capture.
const RELAXED: i32 = 2;

/// Noted work, ready to be done. It keeps the buffers and kernels it uses, so their memory is
/// never used for anything else while it lives.
pub struct Graph {
    device: Arc<Inner>,
    executable: usize,
    nodes: usize,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Stream {
    /// Notes what `work` puts into this stream, and into streams that wait for its events and are
    /// waited for again, instead of doing it. Copies of host slices and waits for the stream are
    /// refused meanwhile.
    pub fn capture(&self, work: impl FnOnce(&Stream) -> Result<()>) -> Result<Graph> {
        self.note::<Error>(work)?.instantiate(None)
    }

    /// Notes work; whoever gets it makes a graph of it, or drops it undone.
    pub(crate) fn note<E: From<Error>>(
        &self,
        work: impl FnOnce(&Stream) -> Result<(), E>,
    ) -> Result<Noted, E> {
        let device = &self.0.device;
        {
            let mut captured = lock(&self.0.captured);
            if captured.is_some() {
                return Err(Error::argument("capture: the stream captures already").into());
            }
            *captured = Some(Vec::new());
        }
        let started = device.enter().and_then(|()| {
            // SAFETY: the handle lives as long as the stream.
            let code = unsafe { call::cuStreamBeginCapture_v2(self.0.raw(), RELAXED) };
            device.check("cuStreamBeginCapture", code)
        });
        if let Err(error) = started {
            *lock(&self.0.captured) = None;
            return Err(error.into());
        }
        let done = work(self);
        let mut graph: Raw = std::ptr::null_mut();
        // The work may have left another context behind.
        device.enter()?;
        // SAFETY: the result has room.
        let code = unsafe { call::cuStreamEndCapture(self.0.raw(), Out::to(&mut graph)) };
        let kept = lock(&self.0.captured).take().unwrap_or_default();
        let noted = Noted { device: Arc::clone(device), graph: graph as usize, kept };
        // What went wrong in the work says more than the capture that it broke.
        done?;
        device.check("cuStreamEndCapture", code)?;
        Ok(noted)
    }
}

impl Graph {
    /// Puts all of the work into a stream.
    pub fn launch(&self, stream: &Stream) -> Result<()> {
        if !Arc::ptr_eq(&self.device, &stream.0.device) {
            return Err(Error::argument("graph: the stream is of another device"));
        }
        self.device.enter()?;
        let _span = self.device.span("launch graph");
        // SAFETY: both handles live as long as their owners.
        let code = unsafe { call::cuGraphLaunch(self.raw(), stream.0.raw()) };
        self.device.check("cuGraphLaunch", code)
    }

    /// Takes over the arguments of work that is noted again. It must be the same kernels in the
    /// same order; else this stays as it was.
    pub fn update(
        &mut self,
        stream: &Stream,
        work: impl FnOnce(&Stream) -> Result<()>,
    ) -> Result<()> {
        let noted = stream.note::<Error>(work)?;
        self.device.enter()?;
        // SAFETY: both handles are valid; the results are not wanted.
        let code =
            unsafe { call::cuGraphExecUpdate(self.raw(), noted.raw(), Out::none(), Out::none()) };
        self.device.check("cuGraphExecUpdate", code)?;
        // Launches before this one may still use what was kept for them.
        self.synchronize_device()?;
        self.kept = noted.finish();
        Ok(())
    }

    /// Number of pieces of work.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    fn raw(&self) -> Raw {
        self.executable as Raw
    }

    fn synchronize_device(&self) -> Result<()> {
        self.device.enter()?;
        // SAFETY: there are no arguments.
        self.device.check("cuCtxSynchronize", unsafe { call::cuCtxSynchronize() })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // Its buffers go back to the pool with this, so its work must be done.
        let _ = self.synchronize_device();
        // SAFETY: nothing has the handle any more.
        let _ = unsafe { call::cuGraphExecDestroy(self.raw()) };
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} nodes)", self.nodes)
    }
}

/// A graph as it was noted.
pub(crate) struct Noted {
    device: Arc<Inner>,
    graph: usize,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Noted {
    fn raw(&self) -> Raw {
        self.graph as Raw
    }

    /// The graph, ready to launch, which keeps `more` beside what its work uses.
    pub(crate) fn instantiate(mut self, more: Option<Arc<dyn Any + Send + Sync>>) -> Result<Graph> {
        let device = Arc::clone(&self.device);
        device.enter()?;
        let mut executable: Raw = std::ptr::null_mut();
        // SAFETY: the result has room and the graph's handle is valid.
        let code =
            unsafe { call::cuGraphInstantiateWithFlags(Out::to(&mut executable), self.raw(), 0) };
        device.check("cuGraphInstantiateWithFlags", code)?;
        let nodes = self.count()?;
        self.kept.extend(more);
        Ok(Graph { device, executable: executable as usize, nodes, kept: self.finish() })
    }

    fn count(&self) -> Result<usize> {
        let mut nodes = 0;
        // SAFETY: the result has room; the list of nodes is not wanted.
        let code = unsafe { call::cuGraphGetNodes(self.raw(), Out::none(), Out::to(&mut nodes)) };
        self.device.check("cuGraphGetNodes", code)?;
        Ok(nodes)
    }

    fn finish(mut self) -> Vec<Arc<dyn Any + Send + Sync>> {
        std::mem::take(&mut self.kept)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.graph != 0 && self.device.enter().is_ok() {
            // SAFETY: nothing has the handle any more.
            let _ = unsafe { call::cuGraphDestroy(self.raw()) };
        }
    }
}
