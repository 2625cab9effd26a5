-- What wrk sends: a GET of PATH_, its {id} any of TICKETS; or a POST of BODY, where there is one.
local path, body = os.getenv("PATH_"), os.getenv("BODY")
local tickets = tonumber(os.getenv("TICKETS"))

wrk.headers["Authorization"] = os.getenv("AUTHORIZATION")
if body then
    wrk.method, wrk.body, wrk.path = "POST", body, path
    wrk.headers["Content-Type"] = "application/json"
elseif path:find("{id}", 1, true) then
    request = function()
        return wrk.format(nil, (path:gsub("{id}", math.random(tickets))))
    end
else
    wrk.path = path
end
