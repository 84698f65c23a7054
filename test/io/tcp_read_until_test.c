/* SPDX-License-Identifier: MIT
 *
 * uvt_read_until: delimiters whole, cut in two, missing, too long; and that whatever the call does not give
 * back stays to be read.
 */
#include "loopback.h"

static void check_line(uvt_stream_t *s, const char *line) {
    char buf[600];
    ssize_t n = uvt_read_until(s, buf, sizeof buf - 1, "\r\n", 2);
    CHECK_EQ(n, strlen(line));
    buf[n] = '\0';
    CHECK_STR(buf, line);
}

UVT_TEST(read_until_gives_one_line_at_a_time) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "one\r\ntwo\r\n\r\nrest");
    check_line(s, "one\r\n");
    check_line(s, "two\r\n");
    check_line(s, "\r\n");
    lo_check_next(s, "rest");
    lo_end(s, peer);
}

static int reads_line(void *arg) {
    char buf[64];
    ssize_t n = uvt_read_until(arg, buf, sizeof buf, "\r\n", 2);
    return n < 0 ? (int)n : n == 4 && memcmp(buf, "ab\r\n", 4) == 0 ? 0 : UV_EPROTO;
}

UVT_TEST(read_until_finds_a_delimiter_cut_in_two) {
    int peer;
    uvt_stream_t *s = lo_half(&peer);
    uvt_task_t t;
    uvt_spawn(&t, reads_line, s);
    uvt_sleep(1);
    lo_raw_send(peer, "ab\r", 3);
    uvt_sleep(1);
    lo_raw_send(peer, "\nnext", 5);
    CHECK_EQ(uvt_join(t, NULL), 0);
    lo_check_next(s, "next");
    lo_end(s, peer);
}

UVT_TEST(read_until_false_start_of_the_delimiter_is_no_match) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "xaab-aaab.");
    char buf[16];
    CHECK_EQ(uvt_read_until(s, buf, sizeof buf, "aaab", 4), 9);
    CHECK_EQ(memcmp(buf, "xaab-aaab", 9), 0);
    lo_check_next(s, ".");
    lo_end(s, peer);
}

UVT_TEST(read_until_exactly_full_buffer_is_a_match) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "abc\ndef");
    char buf[4];
    CHECK_EQ(uvt_read_until(s, buf, 4, "\n", 1), 4);
    CHECK_EQ(memcmp(buf, "abc\n", 4), 0);
    lo_check_next(s, "def");
    lo_end(s, peer);
}

UVT_TEST(read_until_line_too_long_is_emsgsize_and_stays) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "abcdef\n");
    char buf[4];
    CHECK_EQ(uvt_read_until(s, buf, 4, "\n", 1), UV_EMSGSIZE);
    CHECK_EQ(uvt_read_until(s, buf, 4, "\n", 1), UV_EMSGSIZE);
    lo_check_next(s, "abcdef\n");
    lo_end(s, peer);
}

UVT_TEST(read_until_end_before_the_delimiter_is_eof_and_the_bytes_stay) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "half a line");
    char buf[64];
    shutdown(peer, SHUT_WR);
    CHECK_EQ(uvt_read_until(s, buf, sizeof buf, "\n", 1), UV_EOF);
    lo_check_next(s, "half a line");
    lo_check_eof(s);
    lo_end(s, peer);
}

UVT_TEST(read_until_delimiter_of_no_or_too_many_bytes_is_refused) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "x");
    char buf[512], delim[257] = { 0 };
    CHECK_EQ(uvt_read_until(s, buf, sizeof buf, "\n", 0), UV_EINVAL);
    CHECK_EQ(uvt_read_until(s, buf, sizeof buf, delim, 257), UV_EINVAL);
    CHECK_EQ(uvt_read_until(s, buf, 0, "\n", 1), UV_EINVAL);
    lo_check_next(s, "x");
    lo_end(s, peer);
}

UVT_TEST(read_until_longest_delimiter_is_found) {
    int peer;
    char text[300 + 1] = { 0 }, buf[512];
    memset(text, 'd', 300);
    text[0] = 'x';
    uvt_stream_t *s = lo_half_with(&peer, text);
    CHECK_EQ(uvt_read_until(s, buf, sizeof buf, text + 1, 256), 257);
    CHECK_EQ(memcmp(buf, text, 257), 0);
    lo_check_next(s, text + 257);
    lo_end(s, peer);
}

UVT_TEST(read_until_cancelled_gives_the_half_line_again) {
    int peer;
    uvt_stream_t *s = lo_half_with(&peer, "ab");
    CHECK_EQ(uvt_timeout(100, reads_line, s), UV_ETIMEDOUT);
    lo_raw_send(peer, "\r\n", 2);
    check_line(s, "ab\r\n");
    lo_end(s, peer);
}

UVT_TEST_MAIN()
