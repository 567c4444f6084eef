//! A stream or a future between two stores.
//!
//! The writer's end is piped out of the writer's store. The reader's end is a new stream in the reader's store. Between
//! them is a queue of one batch, so a reader that does not read holds the writer up. A stream has no place for an
//! error. If it ends because its writer's instance failed, it must not look finished, so its reader traps. What the
//! writer has ended before is finished, however its instance ends afterwards.

use super::lifeline::{HasLifeline, Lifeline};
use crate::contract::Type;
use crate::runtime::fault::InstanceFault;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use wasmtime::component::{
    ComponentType, Destination, FutureConsumer, FutureReader, Lift, Lower, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult, Val, VecBuffer,
};
use wasmtime::{Result, StoreContextMut, bail, format_err};

/// The most elements that are taken from a writer in one go.
const BATCH: usize = 64 << 10;

/// What a stream or a future may carry: the types that are the same in every store.
trait Element: ComponentType + Lift + Lower + Send + Sync + Unpin + 'static {}
impl<T: ComponentType + Lift + Lower + Send + Sync + Unpin + 'static> Element for T {}

/// A stream or a future that has left its store. Dropped without being opened, it tells the writer that nobody reads.
pub(super) struct StreamBridge(AnyEnd);

impl StreamBridge {
    /// Pipes the stream or future `value`, which is of type `ty`, out of `store`.
    pub(super) fn pack<D: HasLifeline>(store: &mut StoreContextMut<'_, D>, ty: &Type, value: &Val) -> Result<Self> {
        match (ty, value) {
            (Type::Stream(element), Val::Stream(_)) | (Type::Future(element), Val::Future(_)) => {
                AnyEnd::pack(store, element.as_deref(), value).map(Self)
            }
            _ => bail!("a value is not of its type"),
        }
    }

    /// The stream or future in its reader's store.
    pub(super) fn open<D: 'static>(self, store: &mut StoreContextMut<'_, D>) -> Result<Val> {
        self.0.open(store)
    }
}

/// Defines [`AnyEnd`] with one variant for each type of element.
macro_rules! any_end {
    ($($name:ident($element:ty)),*) => {
        /// The reader's end of a stream or a future, by the type of its elements.
        enum AnyEnd {
            $($name(ReaderEnd<$element>),)*
            /// Elements without a value.
            Unit(ReaderEnd<()>),
        }

        impl AnyEnd {
            fn pack<D: HasLifeline>(
                store: &mut StoreContextMut<'_, D>,
                element: Option<&Type>,
                value: &Val,
            ) -> Result<Self> {
                match element.map(Type::resolved) {
                    $(Some(Type::$name) => ReaderEnd::pack(store, value).map(Self::$name),)*
                    None => ReaderEnd::pack(store, value).map(Self::Unit),
                    Some(_) => {
                        bail!("no stream or future of this type crosses; the component should have been refused")
                    }
                }
            }

            fn open<D: 'static>(self, store: &mut StoreContextMut<'_, D>) -> Result<Val> {
                match self {
                    $(Self::$name(end) => end.open(store),)*
                    Self::Unit(end) => end.open(store),
                }
            }
        }
    };
}

any_end! {
    Bool(bool), S8(i8), U8(u8), S16(i16), U16(u16), S32(i32), U32(u32), S64(i64), U64(u64), F32(f32), F64(f64),
    Char(char), String(String)
}

/// The reader's end while it is in no store.
enum ReaderEnd<T> {
    Stream(Inlet<T>),
    Future { value: oneshot::Receiver<T>, writer: Lifeline },
}

impl<T: Element> ReaderEnd<T> {
    fn pack<D: HasLifeline>(store: &mut StoreContextMut<'_, D>, value: &Val) -> Result<Self> {
        match value {
            Val::Stream(any) => {
                let reader = StreamReader::<T>::try_from_stream_any(any.clone())?;
                // A channel of length 0 has room for one batch of each of its senders, and this one has one sender.
                let (batches, receiver) = mpsc::channel(0);
                let ended = Arc::new(AtomicBool::new(false));
                let outlet = Outlet { batches, ended: Arc::clone(&ended), fault: store.data().fault() };
                reader.pipe(&mut *store, outlet)?;
                Ok(Self::Stream(Inlet { batches: receiver, next: None, ended, writer: store.data().lifeline() }))
            }
            Val::Future(any) => {
                let reader = FutureReader::<T>::try_from_future_any(any.clone())?;
                let (sender, value) = oneshot::channel();
                reader.pipe(&mut *store, FutureOutlet { sender: Some(sender) })?;
                Ok(Self::Future { value, writer: store.data().lifeline() })
            }
            _ => bail!("neither a stream nor a future"),
        }
    }

    fn open<D: 'static>(self, store: &mut StoreContextMut<'_, D>) -> Result<Val> {
        match self {
            Self::Stream(inlet) => {
                let reader = StreamReader::new(&mut *store, inlet)?;
                Ok(Val::Stream(reader.try_into_stream_any(store)?))
            }
            Self::Future { value, writer } => {
                let value = async move {
                    // Without the value the reader cannot go on, so it traps, whether or not the writer failed.
                    let never_written = || format_err!("a future was never written");
                    value.await.map_err(|_| writer.broken().unwrap_or_else(never_written))
                };
                let reader = FutureReader::new(&mut *store, value)?;
                Ok(Val::Future(reader.try_into_future_any(store)?))
            }
        }
    }
}

/// The end of a stream in the writer's store.
struct Outlet<T> {
    batches: mpsc::Sender<Vec<T>>,
    /// Set when the writer ends the stream.
    ended: Arc<AtomicBool>,
    /// That of the writer's instance.
    fault: InstanceFault,
}

impl<T> Drop for Outlet<T> {
    /// Wasmtime drops it when the writer ends the stream, or with the store. An instance that fails records its fault
    /// before its store goes.
    fn drop(&mut self) {
        // Before `batches` is dropped, which the reader notices.
        self.ended.store(self.fault.get().is_none(), Ordering::Release);
    }
}

impl<D, T: Element> StreamConsumer<D> for Outlet<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        mut source: Source<'_, T>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        match self.batches.poll_ready(cx) {
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Ok(())) => {
                let waiting = source.remaining(&mut store);
                // A guest writes nothing to find out whether its reader is ready.
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

/// The end of a stream in the reader's store.
struct Inlet<T> {
    batches: mpsc::Receiver<Vec<T>>,
    /// A batch that has arrived and that the reader has not read yet.
    next: Option<Vec<T>>,
    /// Whether the writer has ended the stream.
    ended: Arc<AtomicBool>,
    writer: Lifeline,
}

impl<D, T: Element> StreamProducer<D> for Inlet<T> {
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, VecBuffer<T>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let reads_nothing = destination.remaining(store) == Some(0);
        if self.next.is_none() {
            match self.batches.poll_next_unpin(cx) {
                Poll::Ready(Some(batch)) => self.next = Some(batch),
                Poll::Ready(None) if self.ended.load(Ordering::Acquire) => {
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
                Poll::Ready(None) => {
                    return Poll::Ready(self.writer.broken().map_or(Ok(StreamResult::Dropped), Err));
                }
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // A guest reads nothing to find out whether there is something. The batch stays here until a real read.
        if !reads_nothing && let Some(batch) = self.next.take() {
            destination.set_buffer(batch.into());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// The end of a future in the writer's store.
struct FutureOutlet<T> {
    sender: Option<oneshot::Sender<T>>,
}

impl<D, T: Element> FutureConsumer<D> for FutureOutlet<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'_, D>,
        mut source: Source<'_, T>,
        _: bool,
    ) -> Poll<Result<()>> {
        let mut value = Vec::with_capacity(1);
        source.read(&mut store, &mut value)?;
        if let (Some(sender), Some(value)) = (self.sender.take(), value.pop()) {
            // It fails only if the reader is gone, and then nobody needs the value.
            let _ = sender.send(value);
        }
        Poll::Ready(Ok(()))
    }
}
