;;; deq-mode.el --- deq scripts, with eglot  -*- lexical-binding: t -*-

;; The words are those of the language server; without it, of this file.

(require 'rx)

(defvar deq-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?/ ". 12" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?\" "\"" table)
    (modify-syntax-entry ?' "." table)
    (modify-syntax-entry ?_ "w" table)
    table))

;; unit.test_editors holds these lists to the language's tables.
(defconst deq-words '(
  and as attack buffer by check claim const data defence else experiment false figure fixed fn for gradient if
  import in layer let not of on optimiser or param point repeat return schedule state sweep table test then
  train true under until use with
  ))
(defconst deq-types '(bool f32 f64 int label schedule))
(defconst deq-rows '(
  adjoint_broyden anderson apply augmented backprop bicgstab broyden correction douglas_rachford
  forward_backward gmres implicit jacobian jfb lu neumann newton_krylov none peaceman_rachford phantom picard
  shine simultaneous spectral trained unroll unrolled
  ))
(defconst deq-builtins '(
  abs accuracy across_batch argmax average_pool batch_norm bilinear clamp concat constant conv cos d dot dropout
  exp expm1 final finite_difference flatten floor glorot gradcheck gradient gradients he identity indices inf
  log log1p log_softmax logits logsumexp loss max max_pool mean min norm normal one_hot ones outer pad pi ranked
  relu reshape restarts round sequence sigmoid sign sin softmax softplus solve sort sqrt states statistic steps
  stop_gradient sum t tanh transpose uniform upsample vjp w weights worst_of wrong zeros
  ))

(defun deq-regexp (words)
  "Matches each of WORDS alone."
  (regexp-opt (mapcar (lambda (word) (if (symbolp word) (symbol-name word) word)) words) 'words))

(defconst deq-font-lock
  `(("^\\s-*\\([A-Za-z_][A-Za-z0-9_.]*\\)\\s-*:" 1 font-lock-variable-name-face)
    ("\\<\\(?:layer\\|fn\\|attack\\|defence\\|optimiser\\|schedule\\|data\\|train\\|experiment\\|gradient\\|const\\)\\s-+\\([A-Za-z_][A-Za-z0-9_]*\\)"
     1 font-lock-function-name-face)
    (,(deq-regexp deq-words) . font-lock-keyword-face)
    (,(deq-regexp deq-types) . font-lock-type-face)
    (,(deq-regexp deq-rows) . font-lock-constant-face)
    (,(deq-regexp deq-builtins) . font-lock-builtin-face)))

(defun deq-indent-line ()
  "Two spaces for each bracket that is open."
  (interactive)
  (let* ((depth (save-excursion (beginning-of-line) (car (syntax-ppss))))
         (closes (save-excursion (back-to-indentation) (looking-at "[])}]")))
         (column (* 2 (max 0 (if closes (1- depth) depth)))))
    (if (<= (current-column) (current-indentation)) (indent-line-to column)
      (save-excursion (indent-line-to column)))))

;;;###autoload
(define-derived-mode deq-mode prog-mode "deq"
  "Scripts of deq."
  (setq-local comment-start "// " comment-end "" indent-tabs-mode nil)
  (setq-local indent-line-function #'deq-indent-line)
  (setq-local font-lock-defaults '(deq-font-lock)))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.deq\\'" . deq-mode))

(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs '(deq-mode . ("deq" "lsp"))))

(provide 'deq-mode)
;;; deq-mode.el ends here
