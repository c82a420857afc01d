let wait={},seen={},tries=0
const put=parts=>{
  Object.assign(wait,parts)
  document.body.className=''
  if(!getSelection().isCollapsed)return
  for(const[id,text]of Object.entries(wait)){
    if(id=='title'){document.title=text;continue}
    const at=document.getElementById(id)
    if(!at||seen[id]===text)continue
    seen[id]=text
    const left=[...at.querySelectorAll('.scroll')].map(box=>box.scrollLeft)
    at.innerHTML=text
    at.querySelectorAll('.scroll').forEach((box,i)=>box.scrollLeft=left[i])
  }
  wait={}
}
const lost=()=>document.body.className='lost'
const live=()=>{
  const news=new EventSource('status.live')
  news.onmessage=event=>put(JSON.parse(event.data))
  news.onerror=()=>{lost();if(news.readyState==2)poll()}
}
const poll=async()=>{
  try{put(await(await fetch('status.parts')).json())}catch{lost()}
  setTimeout(++tries%15?poll:live,2000)
}
live()
