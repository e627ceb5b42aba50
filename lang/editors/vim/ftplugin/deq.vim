" Comments, indentation and checking of deq scripts.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1
setlocal commentstring=//\ %s comments=:///,:// shiftwidth=2 expandtab textwidth=120
setlocal makeprg=deq\ check\ % errorformat=%f:%l:%c:\ %t%*[a-z][%*[EW]%n]:\ %m
let b:undo_ftplugin = "setlocal commentstring< comments< shiftwidth< expandtab< textwidth< makeprg< errorformat<"
