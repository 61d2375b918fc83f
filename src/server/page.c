/* page.c -- the chat page: a few files inside the program. */
#include "server/handlers.h"

#include "base/embed.h"

#include <string.h>

UPG_EMBED(upg_page_html, UPG_PAGE_FOLDER "/index.html");
UPG_EMBED(upg_page_icon, UPG_PAGE_FOLDER "/icon.svg");
UPG_EMBED(upg_page_style, UPG_PAGE_FOLDER "/style.css");
UPG_EMBED(upg_page_chat, UPG_PAGE_FOLDER "/chat.js");
UPG_EMBED(upg_page_store, UPG_PAGE_FOLDER "/store.js");
UPG_EMBED(upg_page_stream, UPG_PAGE_FOLDER "/stream.js");
UPG_EMBED(upg_page_markdown, UPG_PAGE_FOLDER "/markdown.js");

static const struct {
    const char *path, *content_type;
    const uint8_t *begin, *end;
} files[] = {
    {"/", "text/html; charset=utf-8", upg_page_html, upg_page_html_end},
    {"/page/icon.svg", "image/svg+xml", upg_page_icon, upg_page_icon_end},
    {"/page/style.css", "text/css; charset=utf-8", upg_page_style, upg_page_style_end},
    {"/page/chat.js", "text/javascript; charset=utf-8", upg_page_chat, upg_page_chat_end},
    {"/page/store.js", "text/javascript; charset=utf-8", upg_page_store, upg_page_store_end},
    {"/page/stream.js", "text/javascript; charset=utf-8", upg_page_stream, upg_page_stream_end},
    {"/page/markdown.js", "text/javascript; charset=utf-8", upg_page_markdown,
     upg_page_markdown_end},
};

bool handle_page(struct exchange *exchange, struct api_error *error)
{
    for (size_t i = 0; exchange->server->options.page && i < sizeof files / sizeof *files; i++)
        if (strcmp(exchange->path, files[i].path) == 0)
            return reply_static(exchange, files[i].content_type, files[i].begin,
                                (size_t)(files[i].end - files[i].begin));
    return api_fail(error, MHD_HTTP_NOT_FOUND, NULL, "there is nothing at %.200s", exchange->path);
}
