/* utf8.c - see utf8.h. */
#include "base/utf8.h"

static int follows(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_length(const char *text, size_t available)
{
    const unsigned char *s = (const unsigned char *)text;

    if (available == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return available >= 2 && follows(s[1]) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if (available < 3 || !follows(s[1]) || !follows(s[2]))
            return 0;
        if (s[0] == 0xe0 && s[1] < 0xa0) /* overlong */
            return 0;
        if (s[0] == 0xed && s[1] > 0x9f) /* surrogate */
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (available < 4 || !follows(s[1]) || !follows(s[2]) || !follows(s[3]))
            return 0;
        if (s[0] == 0xf0 && s[1] < 0x90)
            return 0;
        if (s[0] == 0xf4 && s[1] > 0x8f)
            return 0;
        return 4;
    }
    return 0;
}
