-- Neovim 0.7 or later: require("deq").setup() starts `deq lsp` for every script; files of vim/ give syntax and file type.
local deq = {}

local function root(name)
  local directory = vim.fn.fnamemodify(name, ":p:h")
  local git = vim.fn.finddir(".git", directory .. ";")
  return git ~= "" and vim.fn.fnamemodify(git, ":p:h:h") or directory
end

-- options: cmd, the command and its arguments; on_attach(client, buffer)
function deq.setup(options)
  options = options or {}
  local clients = {} -- one for each folder
  local function attach(buffer)
    local directory = root(vim.api.nvim_buf_get_name(buffer))
    if not clients[directory] then
      clients[directory] = vim.lsp.start_client({
        name = "deq",
        cmd = options.cmd or { "deq", "lsp" },
        root_dir = directory,
        on_attach = options.on_attach,
        on_exit = function() clients[directory] = nil end,
      })
    end
    if clients[directory] then vim.lsp.buf_attach_client(buffer, clients[directory]) end
  end
  vim.api.nvim_create_autocmd("FileType", { pattern = "deq", callback = function(event) attach(event.buf) end })
end

return deq
