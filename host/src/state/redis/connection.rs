//! One connection, on which questions wait for their answers in the order in which they were asked.

use super::resp::{RespReply, read_reply};
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// The most questions that wait for an answer at once. Further ones wait for their turn.
const UNDER_WAY: usize = 64;

/// A connection. Its drop closes it at once.
pub(super) struct RespConnection {
    questions: mpsc::Sender<RespQuestion>,
    driver: AbortHandle,
    /// Why it has ended.
    ended: Arc<OnceLock<String>>,
}

/// The connection has ended. Whether the server has done what it was asked is not known.
#[derive(Debug)]
pub(super) struct ConnectionEnd(pub(super) String);

struct RespQuestion {
    request: Vec<u8>,
    answer: oneshot::Sender<RespReply>,
}

impl RespConnection {
    /// Over this stream, whose bytes are moved on `runtime`.
    pub(super) fn over<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, runtime: &Handle) -> Self {
        let (questions, mut asked) = mpsc::channel(UNDER_WAY);
        let ended = Arc::<OnceLock<String>>::default();
        let reason = Arc::clone(&ended);
        let driver = runtime.spawn(async move {
            let (read, write) = split(stream);
            let (answers, mut waiting) = mpsc::channel(UNDER_WAY);
            let end = tokio::select! {
                end = send(write, &mut asked, answers) => end,
                end = receive(read, &mut waiting) => end,
            };
            // Before those who wait learn that there is no answer: both channels are dropped after it.
            let _ = reason.set(end.to_string());
        });
        Self { questions, driver: driver.abort_handle(), ended }
    }

    /// The server's answer. A future that is dropped leaves the connection as it is: the answer is thrown away.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) async fn ask(&self, request: Vec<u8>) -> Result<RespReply, ConnectionEnd> {
        let (answer, answered) = oneshot::channel();
        if self.questions.send(RespQuestion { request, answer }).await.is_err() {
            return Err(self.end());
        }
        answered.await.map_err(|_| self.end())
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.questions.is_closed()
    }

    fn end(&self) -> ConnectionEnd {
        ConnectionEnd(self.ended.get().cloned().unwrap_or_else(|| "the connection has ended".into()))
    }
}

impl Drop for RespConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends what is asked, until the connection ends.
async fn send<S: AsyncWrite>(
    mut write: WriteHalf<S>,
    asked: &mut mpsc::Receiver<RespQuestion>,
    answers: mpsc::Sender<oneshot::Sender<RespReply>>,
) -> io::Error {
    while let Some(RespQuestion { request, answer }) = asked.recv().await {
        // Whoever has gone needs no answer, and nothing has been asked yet.
        if answer.is_closed() {
            continue;
        }
        if answers.send(answer).await.is_err() {
            break;
        }
        let sent = async {
            write.write_all(&request).await?;
            write.flush().await
        };
        if let Err(error) = sent.await {
            return error;
        }
    }
    io::Error::other("the connection is not used any more")
}

/// Hands out the answers, until the connection ends.
async fn receive<S: AsyncRead + Send>(
    read: ReadHalf<S>,
    waiting: &mut mpsc::Receiver<oneshot::Sender<RespReply>>,
) -> io::Error {
    let mut read = BufReader::new(read);
    loop {
        let reply = match read_reply(&mut read).await {
            Ok(reply) => reply,
            Err(error) => return error,
        };
        // A question waits here before it is sent.
        let Ok(answer) = waiting.try_recv() else {
            return io::Error::new(io::ErrorKind::InvalidData, "the server answers what it was not asked");
        };
        let _ = answer.send(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    #[tokio::test]
    async fn answers_come_to_those_who_asked_also_if_somebody_before_them_has_gone() {
        let (ours, mut server) = duplex(1024);
        let connection = RespConnection::over(ours, &Handle::current());
        let mut request = [0; 3];
        {
            let mut gone = Box::pin(connection.ask(b"one".to_vec()));
            tokio::select! {
                biased;
                _ = &mut gone => panic!("nobody has answered"),
                read = server.read_exact(&mut request) => assert_eq!(read.unwrap(), 3),
            }
        }
        let asked = async {
            let second = connection.ask(b"two".to_vec());
            let answered = async {
                server.read_exact(&mut request).await.unwrap();
                server.write_all(b"+first\r\n+second\r\n").await.unwrap();
            };
            tokio::join!(second, answered).0
        };
        assert_eq!(asked.await.unwrap(), RespReply::Text(b"second".into()));
        server.write_all(b"+nobody asked\r\n").await.unwrap();
        while !connection.is_closed() {
            tokio::task::yield_now().await;
        }
        let ended = connection.ask(b"six".to_vec()).await.unwrap_err();
        assert!(ended.0.contains("was not asked"), "{ended:?}");
    }
}
