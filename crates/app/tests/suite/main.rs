//! The real binary from outside: processes, files, sockets and signals.

mod demo;
mod http;
mod import;
mod kill;
mod look;
mod records;
mod serve;
mod support;
