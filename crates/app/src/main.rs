//! The binary `uplift`: command line, configuration, and the wiring of the house into processes.
//!
//! It decides nothing about agents: it parses arguments, opens what they name, calls the crates below it and shows
//! what they say.
//!
//! In reading order:
//!
//! - [`cli`]: one thin file a command.
//! - [`config`], [`usage`]: settings; exit codes.
//! - [`database`], [`lock`]: which file, and who may write it.
//! - [`api`]: where looking commands get their data.
//! - [`serve`]: the server.
//! - [`import`]: recorded events in.
//! - [`files`], [`declare`], [`apply`], [`differ`]: what people write in files; entities as they name them; their files
//!   merged with what was kept; differences in words.
//! - [`demo`], [`bench`]: a fleet with planted flaws; how fast things are.
//! - [`text`]: tables, numbers, and texts from events made harmless.
#![forbid(unsafe_code)]

mod api;
mod apply;
mod bench;
mod cli;
mod config;
mod database;
mod declare;
mod demo;
mod differ;
mod files;
mod import;
mod keys;
mod lock;
mod serve;
mod text;
mod usage;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // For every TLS client and server of this process. An error means that one is installed already.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("uplift: {}", text::clean(&format!("{error:#}")));
            usage::code_of(&error)
        }
    }
}
