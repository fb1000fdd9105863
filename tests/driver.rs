//! Headless Chromium, driven by Debian's chromedriver, and the page that it visits.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

use crate::common::Place;

/// How long a program may take to print that it is ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs what a test does in a browser.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

/// Runs a script in the page.
pub async fn run(client: &Client, script: &str) -> Result<Value, CmdError> {
    client.execute(script, vec![]).await
}

/// Moves the mouse, and waits until the page has handled the event: a browser dispatches it before the
/// next frame.
pub async fn hover(client: &Client, target: PointerAction) -> Result<(), CmdError> {
    client.perform_actions(MouseActions::new("mouse".into()).then(target)).await?;
    let two_frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))";
    client.execute_async(two_frames, vec![]).await?;
    Ok(())
}

/// A process that is killed on drop.
struct Server(Child);

impl Server {
    /// Starts a program and waits until it prints a line in which `find` finds something. Panics if it ends
    /// before, or prints none in time.
    fn start(mut command: Command, find: fn(&str) -> Option<String>) -> std::io::Result<(Self, String)> {
        let mut server = Self(command.stdout(Stdio::piped()).spawn()?);
        let output = server.0.stdout.take().expect("its output");
        let (sender, found) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // The rest is read too, so that the program can go on printing.
            lines.filter_map(|line| find(&line)).for_each(|found| _ = sender.send(found));
        });
        let found = found.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("{command:?} did not print that it is ready ({error}); run it by itself to see why")
        });
        Ok((server, found))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `convlens web`, serving.
pub struct Site {
    _server: Server,
    pub address: String,
}

impl Site {
    pub fn serve(place: &Place, page: &Path, line: &str) -> Self {
        let mut command = place.command(&format!("web --port 0 {line}"));
        command.arg("--page").arg(page);
        let address = |line: &str| Some(line.split_once(" (Ctrl-C")?.0.to_owned());
        let (server, address) = Server::start(command, address).expect("starts");
        Self { _server: server, address }
    }
}

/// The driver, on a port of its choice.
pub struct Driver {
    _server: Server,
    port: String,
}

impl Driver {
    /// Starts chromedriver. None if it is not installed; a chromedriver that does not work is a failure.
    pub fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stderr(Stdio::null());
        let port = |line: &str| Some(line.split_once("started successfully on port ")?.1.to_owned());
        match Server::start(command, port) {
            Ok((server, port)) => Some(Self { _server: server, port: port.trim_end_matches('.').into() }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("chromedriver: {error}"),
        }
    }

    /// A browser with some more flags.
    pub async fn open(&self, flags: &[&str]) -> Client {
        self.open_with(flags, json!({})).await
    }

    /// A browser that puts what it downloads into `folder`.
    pub async fn open_downloading(&self, flags: &[&str], folder: &Path) -> Client {
        self.open_with(flags, json!({ "download.default_directory": folder, "download.prompt_for_download": false }))
            .await
    }

    async fn open_with(&self, flags: &[&str], preferences: Value) -> Client {
        let own = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let arguments: Vec<&str> = own.iter().chain(flags).copied().collect();
        let options = json!({ "args": arguments, "prefs": preferences });
        // A software adapter is slow.
        let timeouts = json!({ "script": 600_000 });
        let capabilities = [("goog:chromeOptions".to_owned(), options), ("timeouts".to_owned(), timeouts)];
        let capabilities: Capabilities = capabilities.into_iter().collect();
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let address = format!("http://127.0.0.1:{}", self.port);
        ClientBuilder::new(connector).capabilities(capabilities).connect(&address).await.expect("connects")
    }
}
