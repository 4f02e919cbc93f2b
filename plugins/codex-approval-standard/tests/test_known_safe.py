import shlex

import pytest
from codex_approval_standard._known_safe import objection

SAFE = """
cat a b
cd /tmp
echo -n hello
grep -rn --include=*.py foo .
head -n 5 a
ls
ls -la /etc
pwd
tail -n +3 a
wc -l a
which python3
rg foo
rg -n --hidden --pretty -g '*.py' foo src
rg --pcre2 foo
rg -i -- foo
find .
find . -name '*.py' -type f -not -path './.git/*'
find -L src -maxdepth 2 -mtime -2 -size +10k -print0
find . ( -name a -o -name b ) -prune
find . -perm -u=x
find . -perm -644
git status
git status --porcelain=v2 -b
git log --oneline -5
git log -p --stat --output-indicator-new=+ -- src
git log --format=%H
git log --reverse --diff-filter=M
git diff
git diff --cached HEAD~1 -- a
git diff -U5 --word-diff=color
git show HEAD:a
git branch
git branch -a
git branch -vv --sort=-committerdate
git branch --show-current
git branch --list 'foo*'
git branch --contains HEAD
git branch --merged main
git branch --format=%(refname:short)
sed -n 1p a
sed -n 10,20p a
"""

UNSAFE = """
/bin/ls
./ls
ls2
bash ls
bash -ic ls
bash -lc 'ls > a'
sh -c make
env ls
cargo check
make
nl a
python3 -c pass
rg --pre ./run foo
rg --pre=./run foo
rg --hostname-bin ./run foo
rg --hostname-bin=./run foo
rg --search-zip foo
rg -z foo
rg -nz foo
rg -uuuz foo
find . -exec rm {} ;
find . -execdir rm {} +
find . -ok rm {} ;
find . -okdir rm {} ;
find . -delete
find . -fls out
find . -fprint out
find . -fprint0 out
find . -fprintf out %p
find . -rm
find . -ex\\\\ec rm {} ;
find . '-exec ' rm
find . -exe rm {} ;
find . -del
find . -EXEC rm {} ;
git
git commit
git -C x status
git -c core.pager=x log
git --paginate log
git push
git log --output=f
git log --output f
git log --outp=f
git log --out f
git diff --output=f
git show --output=f HEAD
git diff -o f
git log -of
git diff --ext-diff
git diff --ext
git log --show-signature
git log --format=%G?
git log --help
git log --remerge-diff
git log --remerge
git show --diff-merges=remerge
git log --diff-m=r
git branch foo
git branch foo main
git branch -D foo
git branch -d foo
git branch --delete foo
git branch -m a b
git branch -M a b
git branch -c a b
git branch -f a b
git branch -u origin/a
git branch --set-upstream-to=a
git branch --unset-upstream
git branch --edit-description
git branch --track a b
git branch -v foo
git branch -a foo
git branch --color foo
git branch --list -D foo
git branch --sort=x foo
git branch --format=%(signature)
git branch --list --edit-description
sed -n 1p
sed -n 1p -i
sed -n 1p ''
sed -n 1p a b
sed -i 1p a
sed -n '1p;w out' a
sed -n '1,2w out' a
sed -n 1e a
sed -n '$p' a
sed -n \u0661p a
sed s/a/b/ a
sed
"""


def commands(text):
    return [tuple(shlex.split(line)) for line in text.strip().splitlines()]


@pytest.mark.parametrize("argv", commands(SAFE), ids=" ".join)
def test_is_known_to_only_read(argv):
    assert objection(argv) is None


@pytest.mark.parametrize("argv", [*commands(UNSAFE), (), ("",), ("sed", "-n", "1p\n", "a")], ids=" ".join)
def test_is_not_known_to_only_read(argv):
    assert objection(argv)


@pytest.mark.parametrize("argv", commands(SAFE), ids=" ".join)
def test_without_a_sandbox_git_is_not_known(argv):
    assert bool(objection(argv, sandboxed=False)) == (argv[0] in {"git", "cd"})


def test_objections_name_what_is_wrong():
    assert objection(("make", "all")) == "`make` is not on the list of commands that only read"
    assert "-delete" in (objection(("find", ".", "-delete")) or "")
    assert "sandbox" in (objection(("git", "log"), sandboxed=False) or "")
    assert "--output=f" in (objection(("git", "log", "--output=f"), sandboxed=False) or "")
    assert "--output=f" in (objection(("git", "log", "--output=f")) or "")
