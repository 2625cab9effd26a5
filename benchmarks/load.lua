-- What wrk sends: a GET of each URL in the file URLS, or a POST of BODY to it, with the tokens in the
-- file TOKENS, if there is one. Each thread walks both files in a random order of its own.
local method, body = "GET", os.getenv("BODY")
local headers, urls, tokens, sent = {}, {}, nil, 0
local threads = 0

if body then
    method, headers["Content-Type"] = "POST", "application/json"
end

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local function shuffled(path)
    local lines = {}
    for line in io.lines(path) do
        local at = math.random(#lines + 1)
        lines[#lines + 1] = lines[at]
        lines[at] = line
    end
    return lines
end

function init()
    math.randomseed(1000 * tonumber(os.getenv("SEED")) + number)
    urls = shuffled(os.getenv("URLS"))
    tokens = os.getenv("TOKENS") and shuffled(os.getenv("TOKENS"))
end

function request()
    sent = sent + 1
    if tokens then
        headers["Authorization"] = "Bearer " .. tokens[sent % #tokens + 1]
    end
    return wrk.format(method, urls[sent % #urls + 1], headers, body)
end
