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
        let mut out = Out::stdout(false);
        out.bytes(&script(self.shell))?;
        out.flush()?;
        Ok(Verdict::Done)
    }
}

fn script(shell: KnownShell) -> Vec<u8> {
    let shell = match shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "logmill", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_learns_the_tools_and_their_arguments() {
        for shell in KnownShell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["consume", "describe", "completions", "max-messages", "until-end", "log-dirs"] {
                assert!(script.contains(word), "{shell:?} does not know {word}");
            }
        }
    }
}
