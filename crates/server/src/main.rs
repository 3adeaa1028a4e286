//! The binary; everything is in the library.

fn main() -> std::process::ExitCode {
    remote_data_loader::main()
}
