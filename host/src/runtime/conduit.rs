//! A stream or a future between two stores.
//!
//! One end is piped out of the store that writes, the other is a new stream in the store that reads; between them stands a queue of one
//! batch, so a reader that does not read holds the writer up. A stream that ends because its writer's instance failed must not look
//! finished, and has no place for an error: then its reader traps.

use super::context::Context as Data;
use super::fault::InstanceFault;
use crate::contract::Type;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::component::{
    ComponentType, Destination, FutureConsumer, FutureReader, Lift, Lower, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult, Val, VecBuffer,
};
use wasmtime::{Result, StoreContextMut, bail, format_err};

/// The most elements that are taken from a writer in one go.
const BATCH: usize = 64 << 10;

/// A stream or a future that has left its store. Dropped without being opened, it tells the writer that nobody reads.
pub(super) struct StreamBridge(Box<Open>);

/// Makes the reader's end in the reader's store.
type Open = dyn FnOnce(&mut StoreContextMut<'_, Data>) -> Result<Val> + Send;

impl StreamBridge {
    /// The reader's end, in the reader's store.
    pub(super) fn open(self, store: &mut StoreContextMut<'_, Data>) -> Result<Val> {
        (self.0)(store)
    }
}

/// What may flow: the types that are the same in every store.
trait Element: ComponentType + Lift + Lower + Send + Sync + Unpin + 'static {}
impl<T: ComponentType + Lift + Lower + Send + Sync + Unpin + 'static> Element for T {}

/// Calls `$pack::<T>` for the Rust type of an element.
macro_rules! for_element {
    ($ty:expr, $pack:ident($($argument:expr),*)) => {
        match $ty.map(Type::resolved) {
            Some(Type::Bool) => $pack::<bool>($($argument),*),
            Some(Type::S8) => $pack::<i8>($($argument),*),
            Some(Type::U8) => $pack::<u8>($($argument),*),
            Some(Type::S16) => $pack::<i16>($($argument),*),
            Some(Type::U16) => $pack::<u16>($($argument),*),
            Some(Type::S32) => $pack::<i32>($($argument),*),
            Some(Type::U32) => $pack::<u32>($($argument),*),
            Some(Type::S64) => $pack::<i64>($($argument),*),
            Some(Type::U64) => $pack::<u64>($($argument),*),
            Some(Type::F32) => $pack::<f32>($($argument),*),
            Some(Type::F64) => $pack::<f64>($($argument),*),
            Some(Type::Char) => $pack::<char>($($argument),*),
            Some(Type::String) => $pack::<String>($($argument),*),
            None => $pack::<()>($($argument),*),
            Some(_) => bail!("no stream or future of this type crosses; the component should have been refused"),
        }
    };
}

/// Pipes the stream or future `value` out of `store`.
pub(super) fn pack(store: &mut StoreContextMut<'_, Data>, ty: &Type, value: &Val) -> Result<StreamBridge> {
    match (ty, value) {
        (Type::Stream(element), Val::Stream(_)) => for_element!(element.as_deref(), pack_stream(store, value)),
        (Type::Future(element), Val::Future(_)) => for_element!(element.as_deref(), pack_future(store, value)),
        _ => bail!("a value is not of its type"),
    }
}

fn pack_stream<T: Element>(store: &mut StoreContextMut<'_, Data>, value: &Val) -> Result<StreamBridge> {
    let Val::Stream(any) = value else { bail!("no stream") };
    let reader = StreamReader::<T>::try_from_stream_any(any.clone())?;
    // One batch waits in the channel (the one place that every sender of a channel of length 0 has).
    let (batches, receiver) = mpsc::channel(0);
    reader.pipe(&mut *store, Outlet { batches })?;
    let inlet = Inlet { batches: receiver, next: None, writer: store.data().lifeline() };
    Ok(StreamBridge(Box::new(move |store| {
        let reader = StreamReader::new(&mut *store, inlet)?;
        Ok(Val::Stream(reader.try_into_stream_any(store)?))
    })))
}

fn pack_future<T: Element>(store: &mut StoreContextMut<'_, Data>, value: &Val) -> Result<StreamBridge> {
    let Val::Future(any) = value else { bail!("no future") };
    let reader = FutureReader::<T>::try_from_future_any(any.clone())?;
    let (sender, receiver) = oneshot::channel::<T>();
    reader.pipe(&mut *store, FutureOutlet { sender: Some(sender) })?;
    let writer = store.data().lifeline();
    Ok(StreamBridge(Box::new(move |store| {
        let value = async move {
            // Without the value there is nothing that the reader could go on with.
            receiver.await.map_err(|_| writer.broken().unwrap_or_else(|| format_err!("a future was never written")))
        };
        let reader = FutureReader::new(&mut *store, value)?;
        Ok(Val::Future(reader.try_into_future_any(store)?))
    })))
}

/// What the reader's side holds of the writer's instance: it shows how the instance ended, and that somebody still reads.
pub(super) struct Lifeline {
    pub(super) fault: InstanceFault,
    pub(super) _open: Option<tokio::sync::mpsc::Sender<std::convert::Infallible>>,
}

impl Lifeline {
    /// How the writer failed, if it did. (Of the whole lifeline: a block that named the fault alone would hold nothing else of it.)
    fn broken(&self) -> Option<wasmtime::Error> {
        self.fault.get().map(|(kind, _)| format_err!("the stream broke off, because its writer failed: {kind}"))
    }
}

/// The end in the writer's store.
struct Outlet<T> {
    batches: mpsc::Sender<Vec<T>>,
}

impl<T: Element> StreamConsumer<Data> for Outlet<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, Data>,
        mut source: Source<'_, T>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self.batches.poll_ready(cx) {
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Ok(())) => {
                let waiting = source.remaining(&mut store);
                // A write of nothing asks whether somebody is ready to read.
                if waiting > 0 {
                    let mut batch = Vec::with_capacity(waiting.min(BATCH));
                    source.read(&mut store, &mut batch)?;
                    if self.batches.start_send(batch).is_err() {
                        return Poll::Ready(Ok(StreamResult::Dropped));
                    }
                }
                Poll::Ready(Ok(StreamResult::Completed))
            }
        }
    }
}

/// The end in the reader's store.
struct Inlet<T> {
    batches: mpsc::Receiver<Vec<T>>,
    /// What has come and was not asked for yet.
    next: Option<Vec<T>>,
    writer: Lifeline,
}

impl<T: Element> StreamProducer<Data> for Inlet<T> {
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, Data>,
        mut destination: Destination<'a, T, VecBuffer<T>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let asks = destination.remaining(store) == Some(0);
        if self.next.is_none() {
            match self.batches.poll_next_unpin(cx) {
                Poll::Ready(Some(batch)) => self.next = Some(batch),
                Poll::Ready(None) => {
                    return Poll::Ready(self.writer.broken().map_or(Ok(StreamResult::Dropped), Err));
                }
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // A read of nothing only asks whether there is something.
        if !asks && let Some(batch) = self.next.take() {
            destination.set_buffer(batch.into());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// The end of a future in the writer's store.
struct FutureOutlet<T> {
    sender: Option<oneshot::Sender<T>>,
}

impl<T: Element> FutureConsumer<Data> for FutureOutlet<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'_, Data>,
        mut source: Source<'_, T>,
        _: bool,
    ) -> Poll<Result<()>> {
        let mut value = Vec::with_capacity(1);
        source.read(&mut store, &mut value)?;
        if let (Some(sender), Some(value)) = (self.sender.take(), value.pop()) {
            // A reader that went away does not want it.
            let _ = sender.send(value);
        }
        Poll::Ready(Ok(()))
    }
}
