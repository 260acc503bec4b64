//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

// libcurl sets and gets options through variadic functions, which Swift cannot call: one function for each kind of argument.

#ifndef NINEFOLD_CCURLSHIM_H
#define NINEFOLD_CCURLSHIM_H

#include <curl/curl.h>

typedef size_t (*ninefold_curl_transfer_function)(char *bytes, size_t size, size_t count, void *context);
typedef int (*ninefold_curl_seek_function)(void *context, curl_off_t offset, int origin);

CURLcode ninefold_curl_set_long(CURL *easy, CURLoption option, long value);
CURLcode ninefold_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value);
/// The string is copied.
CURLcode ninefold_curl_set_string(CURL *easy, CURLoption option, const char *value);
CURLcode ninefold_curl_set_pointer(CURL *easy, CURLoption option, void *value);
/// The list must live until the transfer ends.
CURLcode ninefold_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value);
/// For CURLOPT_READFUNCTION, CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION, which have one shape.
CURLcode ninefold_curl_set_transfer_function(CURL *easy, CURLoption option, ninefold_curl_transfer_function value);
CURLcode ninefold_curl_set_seek_function(CURL *easy, ninefold_curl_seek_function value);
/// Only TLS and plain HTTP, also where an answer redirects.
CURLcode ninefold_curl_set_http_only(CURL *easy);

/// 0 if there is no such value.
long ninefold_curl_get_long(CURL *easy, CURLINFO info);

CURLMcode ninefold_curl_multi_set_long(CURLM *multi, CURLMoption option, long value);

/// Once in a process, before any thread uses libcurl.
CURLcode ninefold_curl_global_init(void);

#endif
