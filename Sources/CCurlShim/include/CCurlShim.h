int ninefold_curl_shim_version(void);
