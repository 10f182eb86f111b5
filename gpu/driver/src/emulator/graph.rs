//! Graphs: noted work, done again as a whole in the order it was noted, which every dependency
//! among it allows.

use super::capture::{RELAXED, THREAD_LOCAL};
use super::queue::{Work, finish_stream};
use super::state::{Handle, State, lock};
use super::{Answer, fail, put};
use crate::abi::{Out, Raw};
use crate::result::Code;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::ThreadId;

/// For each stream, how many nodes there were when it last added one that is waited for.
pub(super) type Covered = BTreeMap<Handle, usize>;

/// A capture that has begun.
pub(super) struct Capture {
    pub(super) device: usize,
    pub(super) origin: Handle,
    pub(super) mode: i32,
    pub(super) thread: ThreadId,
    pub(super) nodes: Vec<Work>,
    /// What each stream did itself and waited for.
    pub(super) covered: BTreeMap<Handle, Covered>,
    /// True after a call that is not allowed.
    pub(super) is_broken: bool,
}

impl Capture {
    /// True where a call that does work at once is not allowed in a thread.
    pub(super) fn forbids(&self, thread: ThreadId) -> bool {
        match self.mode {
            RELAXED => false,
            THREAD_LOCAL => self.thread == thread,
            _ => true,
        }
    }
}

/// A graph, or one that was made ready to launch.
#[derive(Clone)]
pub(super) struct Graph {
    nodes: Arc<[Work]>,
}

impl Graph {
    pub(super) fn new(nodes: Vec<Work>) -> Self {
        Graph { nodes: nodes.into() }
    }

    /// Handles of nodes are only counted, so their numbers do.
    fn node(index: usize) -> Raw {
        (index + 1) as Raw
    }
}

fn find<'a>(graphs: &'a BTreeMap<Handle, Graph>, graph: Raw, what: &str) -> Answer<&'a Graph> {
    match graphs.get(&(graph as Handle)) {
        Some(graph) => Ok(graph),
        None => fail(Code::INVALID_HANDLE, format!("no emulated {what} {graph:p}")),
    }
}

pub(crate) fn create(graph: Out<Raw>, _flags: u32) -> Answer {
    let mut state = lock();
    state.current()?;
    let handle = state.new_handle();
    state.graphs.insert(handle, Graph::new(Vec::new()));
    put(graph, handle as Raw)
}

pub(crate) fn destroy(graph: Raw) -> Answer {
    let mut state = lock();
    find(&state.graphs, graph, "graph")?;
    state.graphs.remove(&(graph as Handle));
    Ok(())
}

pub(crate) fn nodes(graph: Raw, nodes: Out<Raw>, count: Out<usize>) -> Answer {
    let state = lock();
    let have = find(&state.graphs, graph, "graph")?.nodes.len();
    if !nodes.is_null() {
        let room = count.get().unwrap_or(0).min(have);
        let list: Vec<Raw> = (0..room).map(Graph::node).collect();
        nodes.put_all(&list);
    }
    put(count, have)
}

pub(crate) fn instantiate(executable: Out<Raw>, graph: Raw, _flags: u64) -> Answer {
    let mut state = lock();
    state.current()?;
    let graph = find(&state.graphs, graph, "graph")?.clone();
    let handle = state.new_handle();
    state.executables.insert(handle, graph);
    put(executable, handle as Raw)
}

pub(crate) fn destroy_executable(executable: Raw) -> Answer {
    let mut state = lock();
    find(&state.executables, executable, "executable graph")?;
    state.executables.remove(&(executable as Handle));
    Ok(())
}

/// Takes over the parameters of a graph with the same nodes.
pub(crate) fn update(executable: Raw, graph: Raw, node: Out<Raw>, result: Out<i32>) -> Answer {
    /// The node's kind differs, or the number of nodes.
    const TOPOLOGY_CHANGED: i32 = 2;
    const FUNCTION_CHANGED: i32 = 4;
    let mut state = lock();
    let new = find(&state.graphs, graph, "graph")?.clone();
    let old = find(&state.executables, executable, "executable graph")?;
    let differs = |index: usize, kind: i32, what: &str| {
        // Either may be null.
        node.put(Graph::node(index));
        result.put(kind);
        fail(Code::GRAPH_EXEC_UPDATE_FAILURE, format!("update: node {index} {what}"))
    };
    if old.nodes.len() != new.nodes.len() {
        let index = old.nodes.len().min(new.nodes.len());
        let (have, want) = (old.nodes.len(), new.nodes.len());
        let what = format!("is the first of few: {have} nodes became {want}");
        return differs(index, TOPOLOGY_CHANGED, &what);
    }
    for (index, (old, new)) in old.nodes.iter().zip(new.nodes.iter()).enumerate() {
        if std::mem::discriminant(old) != std::mem::discriminant(new) {
            return differs(index, TOPOLOGY_CHANGED, "is of another kind");
        }
        if let (Work::Launch(old), Work::Launch(new)) = (old, new)
            && old.function.kernel.name != new.function.kernel.name
        {
            return differs(index, FUNCTION_CHANGED, "launches another kernel");
        }
    }
    state.executables.insert(executable as Handle, new);
    result.put(0);
    node.put(std::ptr::null_mut());
    Ok(())
}

pub(crate) fn launch(executable: Raw, stream: Raw) -> Answer {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    let device = state.streams[&handle].device;
    state.check_fault(device)?;
    let nodes = Arc::clone(&find(&state.executables, executable, "executable graph")?.nodes);
    if let Some(capture) = state.streams[&handle].capture {
        for work in nodes.iter() {
            state.capture_work(capture, handle, work.clone())?;
        }
        return Ok(());
    }
    for work in nodes.iter() {
        state.push(handle, work.clone());
    }
    let is_long = state.streams[&handle].queue.len() > State::MAX_QUEUE;
    drop(state);
    if is_long { finish_stream(handle) } else { Ok(()) }
}
