"""HTTP and network: addresses, transports, proxies, small documents, and foreign errors as flowhub's own."""
