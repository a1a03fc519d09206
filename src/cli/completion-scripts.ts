// The completion scripts of the shells. They know nothing of the commands: each asks the program what can stand there
// and offers that, or files where it says so.

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

const bash = `# Completion of minimcp for bash.
_minimcp() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) compopt -o default 2>/dev/null ;;
      ?*) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(command minimcp __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _minimcp minimcp
`;

const zsh = `#compdef minimcp
# Completion of minimcp for zsh.
_minimcp() {
  local line value
  local -a values
  while IFS= read -r line; do
    value=\${line%%$'\\t'*}
    case $line in
      :files) _files; return ;;
      *$'\\t'*) values+=("\${value//:/\\\\:}:\${line#*$'\\t'}") ;;
      ?*) values+=("\${value//:/\\\\:}") ;;
    esac
  done < <(command minimcp __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#values} )) && _describe 'minimcp' values
}
if [[ \${funcstack[1]} == _minimcp ]]; then _minimcp "$@"; else compdef _minimcp minimcp; fi
`;

const fish = `# Completion of minimcp for fish.
function __minimcp_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (command minimcp __complete -- $words[2..-1] "$current" 2>/dev/null)
    if test "$lines" = ":files"
        __fish_complete_path "$current"
    else
        printf '%s\\n' $lines
    end
end
complete -c minimcp -f -a '(__minimcp_complete)'
`;

const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };

export function completionScript(shell: Shell): string {
  return scripts[shell];
}
