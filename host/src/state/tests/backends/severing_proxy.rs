//! A proxy that cuts a connection at the commit, which it knows by some of its bytes: before the server has got it,
//! before the client gets the answer, or so that the server gets it much later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the proxy does at the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Never,
    /// The server does not get it.
    Question,
    /// The server has got it, and the client does not get the answer.
    Answer,
    /// As `Answer`, and from then on nobody gets through.
    AnswerAndAllLater,
    /// The client's connection ends, and the server gets it at [`SeveringProxy::deliver`].
    Delay,
}

/// The message of the client that ends a transaction: `Q`, its length, its text (PostgreSQL, "Message Formats").
pub(super) const COMMIT: &[u8] = b"Q\0\0\0\x0BCOMMIT\0";

/// A proxy in front of one server.
pub(super) struct SeveringProxy {
    port: u16,
    cut: Arc<AtomicU8>,
    /// Set when the proxy has let nobody through since.
    shut: Arc<AtomicU8>,
    /// What was delayed: its connection to the server, and its bytes.
    delayed: mpsc::Receiver<(TcpStream, Vec<u8>)>,
}

impl SeveringProxy {
    pub(super) async fn before(server: u16, commit: Vec<u8>) -> Self {
        let commit: Arc<[u8]> = commit.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, shut) = (Arc::<AtomicU8>::default(), Arc::<AtomicU8>::default());
        let both = (Arc::clone(&cut), Arc::clone(&shut));
        let (delay, delayed) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if both.1.load(SeqCst) == 0 {
                    tokio::spawn(forward(client, (server, Arc::clone(&commit)), both.clone(), delay.clone()));
                }
            }
        });
        Self { port, cut, shut, delayed }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it does at the next commit.
    pub(super) fn cut_next(&self, cut: Cut) {
        self.cut.store(cut as u8, SeqCst);
    }

    /// Whether the cut that was asked for has been made.
    pub(super) fn has_cut(&self) -> bool {
        self.cut.load(SeqCst) == Cut::Never as u8
    }

    /// Hands over what was delayed. Returns the server's answer.
    pub(super) async fn deliver(&mut self) -> String {
        let (mut server, question) = self.delayed.recv().await.unwrap();
        server.write_all(&question).await.unwrap();
        let mut answer = vec![0; 1 << 16];
        let length = server.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Lets nobody through any more who comes from now on.
    pub(super) fn shut(&self) {
        self.shut.store(1, SeqCst);
    }

    /// Lets everybody through again.
    pub(super) fn open(&self) {
        self.shut.store(0, SeqCst);
    }
}

/// Moves bytes until one side ends, or the cut is due.
async fn forward(
    mut client: TcpStream,
    (server, commit): (u16, Arc<[u8]>),
    (cut, shut): (Arc<AtomicU8>, Arc<AtomicU8>),
    delay: mpsc::Sender<(TcpStream, Vec<u8>)>,
) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let question = &asked[..length];
                let is_commit = question.windows(commit.len()).any(|part| part == &*commit);
                let due = if is_commit { cut.swap(Cut::Never as u8, SeqCst) } else { Cut::Never as u8 };
                if due == Cut::Question as u8 {
                    return;
                }
                if due == Cut::Delay as u8 {
                    let _ = delay.send((server, question.to_vec())).await;
                    return;
                }
                if server.write_all(question).await.is_err() {
                    return;
                }
                if due == Cut::AnswerAndAllLater as u8 {
                    shut.store(1, SeqCst);
                }
                if due != Cut::Never as u8 {
                    // The server has answered, so it has done it.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
