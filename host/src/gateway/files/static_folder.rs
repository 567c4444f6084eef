//! A folder whose files a route serves.

use super::file_answer::{self, FoundFile};
use super::file_path::{FilePath, with_suffix};
use super::file_type::{self, UNKNOWN};
use super::opened_file::{Opened, OpenedFile, open_below, open_root};
use crate::base::{Body, empty_body};
use crate::coding::{AcceptEncoding, ContentCoding, is_compressible};
use crate::gateway::disk::DiskPermits;
use crate::gateway::problem::Problem;
use http::header::{ACCEPT_ENCODING, LOCATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The statuses and kinds of what a route to a folder refuses.
pub(in crate::gateway) const REFUSED: [(u16, &str); 6] = [
    (404, "no-file"),
    (405, "method-not-allowed"),
    (412, "precondition-failed"),
    (416, "range-not-satisfiable"),
    (503, "files-busy"),
    (500, "files-failed"),
];

/// The file of a folder that stands for the folder.
const INDEX: &str = "index.html";

/// A folder whose files a route serves.
#[derive(Debug)]
pub struct StaticFolder {
    root: PathBuf,
    /// The file that is served in place of one that is not there, relative to the folder.
    fallback: Option<PathBuf>,
    disk: DiskPermits,
}

/// What a request finds.
enum Found {
    File(FoundFile),
    /// A folder, whose path must end with a slash: the references of its page are relative to it.
    Folder,
    Nothing,
}

impl StaticFolder {
    /// The folder `root`, which may be a link. A request for a file that is not there gets `fallback`, a file of the
    /// folder, if there is one: the page of a single-page application, whose views have paths of their own.
    pub fn new(root: PathBuf, fallback: Option<FilePath>) -> Self {
        let fallback = fallback.map(|fallback| fallback.as_path().to_owned());
        Self { root, fallback, disk: DiskPermits::new() }
    }

    /// The folder, as the manifest names it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Answers a request for `path`, a path below the folder with a slash at its beginning. `bare`: the path that the
    /// client knows ends without a slash, whatever `path` does. It waits for the disk until `most` is over.
    ///
    /// # Errors
    /// The statuses and kinds of [`REFUSED`].
    pub(in crate::gateway) async fn answer(
        self: &Arc<Self>,
        head: &Parts,
        (path, bare): (&str, bool),
        most: Duration,
    ) -> Result<Response<Body>, Problem> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed(&[Method::GET, Method::HEAD]));
        }
        let path = FilePath::parse(path).ok_or_else(no_file)?;
        let lines = head.headers.get_all(ACCEPT_ENCODING).into_iter().map(HeaderValue::as_bytes);
        let accept = AcceptEncoding::parse(lines);
        let folder = Arc::clone(self);
        let looked = self.disk.run(move || folder.look_up(&path, bare, &accept));
        match timeout(most, looked).await.map_err(|_| busy())? {
            Ok(Found::File(file)) => file_answer::answer(&self.disk, head, file),
            Ok(Found::Folder) => Ok(to_folder(head)),
            Ok(Found::Nothing) => Err(no_file()),
            Err(error) => {
                tracing::warn!(folder = %self.root.display(), %error, "a file cannot be served");
                let detail = "the file cannot be read at this time";
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "files-failed", "The file cannot be read", detail))
            }
        }
    }

    fn look_up(&self, path: &FilePath, bare: bool, accept: &AcceptEncoding) -> io::Result<Found> {
        let root = open_root(&self.root)?;
        let below = |path: &Path| open_below(root.as_fd(), path);
        let file = match below(path.as_path())? {
            Some(Opened::File(file)) if !path.is_folder() => Some((path.as_path().to_owned(), file)),
            Some(Opened::Folder) if bare || !path.is_folder() => return Ok(Found::Folder),
            Some(Opened::Folder) => file_at(path.join(INDEX), below)?,
            _ => None,
        };
        let file = match (file, &self.fallback) {
            (None, Some(fallback)) if !path.is_asset() => file_at(fallback.clone(), below)?,
            (file, _) => file,
        };
        let Some((path, file)) = file else { return Ok(Found::Nothing) };
        let media_type = file_type::of(&path).unwrap_or(UNKNOWN);
        let mut found = FoundFile { file, media_type, coding: None, varies: is_compressible(media_type.as_bytes()) };
        if found.varies
            && let Some((coding, file)) = compressed(&path, accept, below)?
        {
            (found.file, found.coding) = (file, Some(coding));
        }
        Ok(Found::File(found))
    }
}

/// The file at `path` with its path, if there is one.
fn file_at(
    path: PathBuf,
    below: impl Fn(&Path) -> io::Result<Option<Opened>>,
) -> io::Result<Option<(PathBuf, OpenedFile)>> {
    Ok(match below(&path)? {
        Some(Opened::File(file)) => Some((path, file)),
        _ => None,
    })
}

/// The file beside `path` that has its content compressed, by the coding that the client likes best of those there are.
fn compressed(
    path: &Path,
    accept: &AcceptEncoding,
    below: impl Fn(&Path) -> io::Result<Option<Opened>>,
) -> io::Result<Option<(ContentCoding, OpenedFile)>> {
    let mut left = ContentCoding::ALL.to_vec();
    while let Some(coding) = accept.choose(left.iter().copied()) {
        if let Some((_, file)) = file_at(with_suffix(path, coding.suffix()), &below)? {
            return Ok(Some((coding, file)));
        }
        left.retain(|other| *other != coding);
    }
    Ok(None)
}

fn no_file() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-file", "There is no such file", "no file of this route has this path")
}

fn busy() -> Problem {
    let (title, detail) = ("The files cannot be read in time", "the disk of this route's files is too slow");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "files-busy", title, detail);
    problem.with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Sends the client to the same path with a slash. The reference is relative to the path that the client knows: a proxy
/// may have removed a prefix, and a path that begins with two slashes would be another host.
fn to_folder(head: &Parts) -> Response<Body> {
    let name = head.uri.path().rsplit('/').next().unwrap_or_default();
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut answer = Response::new(empty_body());
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::from_bytes(format!("./{name}/{query}").as_bytes()) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}
