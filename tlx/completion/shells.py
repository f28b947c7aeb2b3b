"""The few lines that a shell needs: they ask `tlx completion words` at every Tab."""

from __future__ import annotations

# The shell that reads `=`, `:` and `@` as ends of a word replaces only what stands behind them.
BASH = r"""_tlx() {
    local line="${COMP_LINE:0:COMP_POINT}" breaks="${COMP_WORDBREAKS//[^=:@]/}" cut="" IFS=$'\n'
    local typed="${line##*[[:space:]]}"
    [[ -n $breaks && $typed == *[$breaks]* ]] && cut="${typed%"${typed##*[$breaks]}"}"
    COMPREPLY=($("${COMP_WORDS[0]}" completion words "$line" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -o default -o bashdefault -F _tlx tlx"""

ZSH = r"""#compdef tlx
_tlx() {
    local -a found keys words_
    found=("${(@f)$("${words[1]}" completion words "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    keys=(${(M)found:#*=}) words_=(${found:#*=})
    (( $#keys )) && compadd -S '' -a keys
    (( $#words_ )) && compadd -a words_
    if (( ! $#found )); then
        compset -P '*='
        _files
    fi
}
compdef _tlx tlx"""

FISH = r"""function __tlx_words
    set -l before (commandline -cp)
    set -l typed (commandline -poc)
    $typed[1] completion words "$before" 2>/dev/null
end
complete -c tlx -a '(__tlx_words)'"""

SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
