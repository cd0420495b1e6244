//! Keys as they are pressed, for commands that go on until somebody has seen enough.

use std::io::Read;
use std::sync::Arc;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcsetattr};
use tokio::sync::Notify;

/// Keys that end a command: `q`, and Ctrl-C and Ctrl-D where they come as characters.
const ENOUGH: &[u8] = b"qQ\x03\x04";
/// Keys that ask for the latest.
const AGAIN: &[u8] = b" \r\n";

/// Who listens to the keyboard. While it lives, keys come one by one and are not shown; when it is dropped, the terminal
/// is as it was.
pub(crate) struct Keys {
    before: Option<Termios>,
    heard: Arc<Heard>,
}

/// What keys have asked for.
#[derive(Default)]
struct Heard {
    enough: Notify,
    again: Notify,
}

impl Keys {
    /// Listens, if standard input is a terminal; else there are no keys.
    ///
    /// # Errors
    /// When the terminal cannot be set.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let heard = Arc::<Heard>::default();
        let terminal = std::io::stdin();
        if !isatty(&terminal) {
            return Ok(Self { before: None, heard });
        }
        let before = tcgetattr(&terminal)?;
        let mut wanted = before.clone();
        wanted.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        wanted.special_codes[SpecialCodeIndex::VMIN] = 1;
        wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &wanted)?;
        let told = Arc::clone(&heard);
        // It waits for keys as long as the process lives; nobody waits for it.
        std::thread::spawn(move || {
            for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if ENOUGH.contains(&key) {
                    told.enough.notify_one();
                } else if AGAIN.contains(&key) {
                    told.again.notify_one();
                }
            }
        });
        Ok(Self { before: Some(before), heard })
    }

    /// Waits until a key says that it is enough.
    pub(crate) async fn enough(&self) {
        self.heard.enough.notified().await;
    }

    /// Waits until a key asks for the latest.
    pub(crate) async fn again(&self) {
        self.heard.again.notified().await;
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing any more.
            let _gone = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
