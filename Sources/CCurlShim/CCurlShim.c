#include "CCurlShim.h"
int ninefold_curl_shim_version(void) { return 1; }
