#!/bin/sh
# Prints where a Python of a version such as 3.10 is: on PATH, or installed by pyenv.
# Exits with 1 if there is none that can make virtual environments.
version=$1
check="import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')"
for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python; do
    if "$python" -c "$check" 2>/dev/null; then
        command -v "$python"
        exit
    fi
done
exit 1
