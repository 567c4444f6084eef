//! A real Redis or Valkey under the real binary.

use super::atoll::Home;
use servers::RedisProcess;
use std::fs;
use std::ops::{Deref, DerefMut};

/// The server, with the manifests of hosts over it.
pub struct RedisServer(RedisProcess);

impl Deref for RedisServer {
    type Target = RedisProcess;

    fn deref(&self) -> &RedisProcess {
        &self.0
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut RedisProcess {
        &mut self.0
    }
}

impl RedisServer {
    /// Redis of the system's package; `None` if it is not installed.
    pub fn redis() -> Option<Self> {
        RedisProcess::of_the_system().map(Self)
    }

    /// Valkey of the wheel; `None` if it is not there.
    pub fn valkey() -> Option<Self> {
        RedisProcess::of_the_wheel().map(Self)
    }

    /// Any of them.
    pub fn any() -> Option<Self> {
        RedisProcess::any().map(Self)
    }

    /// `[state]` of a manifest whose state is here.
    pub fn section(&self) -> String {
        let port = self.port();
        format!("[state]\nbackend = 'redis://127.0.0.1:{port}'\npassword = {{ file = 'password' }}\n")
    }

    /// A home with the manifest, and with the password.
    pub fn home(&self, manifest: &str) -> Home {
        let home = Home::new(manifest);
        fs::write(home.folder.path().join("password"), self.password()).unwrap();
        home
    }
}
