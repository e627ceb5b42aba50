autocmd BufNewFile,BufRead *.deq setfiletype deq
