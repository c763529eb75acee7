"""Network: URLs, proxies, httpx transports, small documents, and foreign errors converted into flowhub's.

urls                  which URLs may be requested, and what of them may be shown · token_choice: when a token is sent
get                   one GET of a small document into memory
httpx_transport       httpx's transport by the environment's proxies ─► happy_eyeballs, proxies, socks
framing_repair        heads and chunks that h11 would refuse ─► head_repair
redirect_cookies      cookies of one chain of redirects
httpx_errors          httpx's errors and the trusted certificates · status_errors: a status as an error
httpx_lean            httpx without its command line
content_range, content_disposition   headers in the forms that servers write
reachability          is the host unreachable, or this machine offline?
"""
