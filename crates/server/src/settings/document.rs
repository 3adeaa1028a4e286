//! `docs/CONFIG.md`, generated from the definitions of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command};

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the command line's definitions: `make docs`. -->

Every flag has an environment variable; the flag wins. An empty variable counts as unset. A wrong
value is refused at start with exit status 2, by the name of its variable. Booleans are `true`,
`false`, `1` or `0`.
";

const CREDENTIALS: &str = "
## Credentials of the bucket

They are read from the environment, by the names that the providers' own tools use. Empty ones count
as unset. [guides/replicas.md](guides/replicas.md) has an example for each provider.

| provider | variables |
| --- | --- |
| `aws` | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, with temporary ones, `AWS_SESSION_TOKEN`; or `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` (a Kubernetes service account); or the container's (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, or `AWS_CONTAINER_CREDENTIALS_FULL_URI` with `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`); or none of them: the role of the instance |
| `s3_compatible` | `S3_COMPATIBLE_ACCESS_KEY_ID`, `S3_COMPATIBLE_SECRET_ACCESS_KEY`; nothing of `AWS_*` |
| `google_cloud` | `GOOGLE_APPLICATION_CREDENTIALS`: the key of a service account, or what `gcloud auth application-default login` wrote; without it the service account of the machine or of the pod |
| `azure` | `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET`, or with `AZURE_FEDERATED_TOKEN_FILE` (workload identity); or `AZURE_STORAGE_ACCOUNT_KEY`; or none of them: the managed identity of the machine |
";

const PROXIES: &str = "
## Proxies

`HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are heeded for requests to the manifest endpoint, to
sources and to the bucket. Behind a proxy the proxy resolves names, and has to refuse addresses that
must not be reached.
";

/// The whole document for these subcommands.
pub(crate) fn document(command: &Command) -> String {
    let mut text = INTRODUCTION.to_owned();
    let name = command.get_name();
    for subcommand in documented(command) {
        section(&mut text, name, subcommand);
    }
    text.push_str(CREDENTIALS);
    text.push_str(PROXIES);
    text
}

fn documented(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help")
}

/// One subcommand, or those below it.
fn section(text: &mut String, above: &str, command: &Command) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        for below in documented(command) {
            section(text, &name, below);
        }
        return;
    }
    let args: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        .collect();
    let _ = write!(text, "\n## `{name}`\n");
    if let Some(about) = command.get_about() {
        let _ = write!(text, "\n{about}.\n");
    }
    let mut headings: Vec<&str> = Vec::new();
    for arg in &args {
        let heading = arg.get_help_heading().unwrap_or_default();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        if !heading.is_empty() {
            let _ = write!(text, "\n### {heading}\n");
        }
        text.push_str("\n| variable | flag | default | |\n| --- | --- | --- | --- |\n");
        let under = |arg: &&&Arg| arg.get_help_heading().unwrap_or_default() == heading;
        for arg in args.iter().filter(under) {
            row(text, arg);
        }
    }
}

fn row(text: &mut String, arg: &Arg) {
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
    let long = arg.get_long().map(|long| format!("`--{long}`"));
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let names = arg.get_value_names().filter(|_| arg.is_positional());
    let positional = names.into_iter().flatten().map(|name| format!("`<{name}>`"));
    let flags: Vec<String> = positional.chain(short).chain(long).collect();
    let is_flag = !arg.get_action().takes_values();
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| !is_flag)
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} |",
        variable.unwrap_or_default(),
        flags.join(", "),
        defaults.join(" "),
        help.replace('\n', " ").replace('|', "\\|"),
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use crate::cli::Cli;

    #[test]
    fn docs_config_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIG.md");
        let mut command = Cli::command();
        command.build();
        let current = super::document(&command);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == current, "docs/CONFIG.md is out of date: run `make docs`");
    }
}
