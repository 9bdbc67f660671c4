//! `logmill completions`: what a shell needs to complete the command's arguments.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::command::Arguments;
use crate::outcome::{Outcome, Verdict};
use crate::print::Out;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell. For bash: `logmill completions bash > /etc/bash_completion.d/logmill`.
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl CompletionsArguments {
    /// Prints its script.
    pub(crate) fn run(&self) -> Outcome {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Arguments::command(), "logmill", &mut script);
        let mut out = Out::stdout(false);
        out.bytes(&script)?;
        out.flush()?;
        Ok(Verdict::Done)
    }
}
