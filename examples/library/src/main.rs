//! The library's server. Its books are in the file that `LIBRARY_DATABASE` names.

use std::process::{ExitCode, exit};

use library::Database;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("library", |server| {
        let file = std::env::var_os("LIBRARY_DATABASE").unwrap_or_else(|| "library.sqlite".into());
        let database = Database::open(&file).unwrap_or_else(|error| {
            eprintln!("library: cannot open the database {}: {error}", file.display());
            exit(1)
        });
        library::serve(server.hierarchy(), &database)
    })
}
